/* Messages are found as they are pasted. Signs that the search would take for operators count as spaces; of a
   sentence, words stand for themselves and not for all that begins like them; and a title that shares one word with
   the question does not stand before the text that shares them all. */
(() => {
  const SETUP = 0; // the theme's numbers for what it says to its search
  const QUERY = 2;
  const TITLE_BOOST = 2;
  const SENTENCE = 4; // words
  const post = Worker.prototype.postMessage;

  const asked = (text) => {
    const words = text.replace(/(^|\s)[-+]+/g, " ").match(/[\p{L}\p{N}_-]+/gu) || [];
    const whole = words.slice(0, words.length < SENTENCE ? 0 : -1);
    return [...whole.map((word) => `${word}^1`), ...words.slice(whole.length)].join(" ");
  };

  Worker.prototype.postMessage = function (message, ...rest) {
    const { type, data } = message || {};
    if (type === SETUP && data && data.config && data.config.fields) {
      data.config.fields.title = { boost: TITLE_BOOST };
    }
    const isQuery = type === QUERY && typeof data === "string";
    return post.call(this, isQuery ? { ...message, data: asked(data) } : message, ...rest);
  };
})();
