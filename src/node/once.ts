/** A function that acts at its first call only: for whoever may hear of one end from several sides. */
export function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    act();
  };
}
