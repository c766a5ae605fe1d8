/**
 * Where moto is known to answer otherwise than AWS documents. Such an exchange must fail on moto: one that passes
 * means moto has learned it, and its line here goes.
 */
const unverified = 'it stores whatever checksum it is told';

export const motoDeviations: Readonly<Record<string, string>> = {
  'a bucket name must be fit for a host name': 'it takes capitals and underscores',
  'a quiet deletion of many names only what went wrong': 'it does not know Quiet',
  'what is not there cannot be copied, and what has changed is not copied on condition':
    'it does not know x-amz-copy-source-if-match',
  'a copy may insist on being the first with its key': 'it has conditional puts and completions, no copies',
  'a signature made with the wrong secret is refused': 'it checks no signatures by default',
  'a completion names parts that exist, by their tags, in order': 'it takes parts in any order',
  'nothing is added to an upload that is gone, nor made of it': 'it answers 500',
  'a CRC32 that does not fit the bytes is refused': unverified,
  'a CRC32C that does not fit the bytes is refused': unverified,
  'a CRC64NVME that does not fit the bytes is refused': unverified,
  'a SHA1 that does not fit the bytes is refused': unverified,
  'a SHA256 that does not fit the bytes is refused': unverified,
  'an MD5 that does not fit the bytes is refused': unverified,
  'the checksum of parts is the checksum of their checksums': 'it says neither how many parts nor which type',
  'a secure string shows itself only when asked to decrypt': 'its ciphertext ends in the plain text',
  'the same client token launches once': 'it ignores ClientToken',
  'a client token is for one request only': 'it ignores ClientToken',
  'an image id that is none is refused': 'it takes any image id, with a warning',
  'wildcards and zones filter too':
    'it knows wildcards in tags only, and compares a zone with the whole placement',
  'pages show every instance once': 'it ignores MaxResults on this call',
  'an instance id that is none is malformed': 'it looks for any id that it is given',
  'a filter that there is not is refused': 'it answers 500',
  'spot prices are of the product, the type and the zone that were asked for': 'it ignores product and zone',
  'deleting without naming a tag deletes them all': 'it deletes nothing then',
  'a key that begins with aws: is reserved': 'it takes such keys',
  'an instance that there is not cannot be tagged': 'it takes tags for what there is not',
  'without a tag there is nothing to write': 'it writes nothing and says nothing',
  'a group that there is not cannot be resized': 'it answers 500',
};
