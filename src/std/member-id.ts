/** Names one member for as long as its instance lives: the EC2 instance id, or the configured id without EC2. */
export type MemberId = string & { readonly brand: 'MemberId' };
export const memberId = (text: string): MemberId => text as MemberId;
