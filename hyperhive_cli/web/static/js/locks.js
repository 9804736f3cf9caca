/**
 * Locks say which tab or worker is there: the browser releases them when their holder is gone, however it ended, which no
 * message would tell.
 */

/** Hold a lock of this name as long as this tab or worker exists; resolves once it is held. @param {string} name @returns {Promise<void>} */
export function hold(name) {
  if (!navigator.locks) return Promise.resolve();
  return new Promise((held) => {
    navigator.locks.request(name, () => {
      held();
      return new Promise(() => {});
    });
  });
}

/** Call back once the holder of a lock is gone. @param {string} name @param {() => void} then */
export function whenReleased(name, then) {
  navigator.locks?.request(name, then);
}
