/* Messages are searched as they are pasted: what the search would take for an operator counts as a space. */
(() => {
  const QUERY = 2; // the theme's number for a question to its search
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...rest) {
    const isQuery = message && message.type === QUERY && typeof message.data === "string";
    const plain = isQuery ? message.data.replace(/(^|[\s'(])[-+]+/g, "$1").replace(/[:^~*"]/g, " ") : "";
    return post.call(this, isQuery ? { ...message, data: plain } : message, ...rest);
  };
})();
