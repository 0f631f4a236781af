(function () {
  "use strict";
  var cut = document.getElementById("cut"), shown = null, known = null;
  // "2024-06-02T20:15:00-05:00" is shown as the institute wrote it, not in the reader's zone.
  function spoken(stamp) {
    var p = /^(\d+)-(\d+)-(\d+)T(\d+:\d+)[^+-]*([+-])0?(\d+)/.exec(stamp);
    if (!p) { return cut.dataset.label; }
    var month = cut.dataset.months.split(" ")[Number(p[2]) - 1];
    return cut.dataset.form.replace("{d}", Number(p[3])).replace("{m}", month).replace("{y}", p[1])
      .replace("{h}", p[4]).replace("{z}", p[5] + p[6]);
  }
  function look() {
    fetch("/.well-known/prep/estado.json", { cache: "no-store", credentials: "omit" })
      .then(function (answer) { return answer.json(); })
      .then(function (state) {
        if (state.cut !== shown) {
          shown = state.cut;
          cut.textContent = shown ? spoken(shown) : cut.dataset.label;
        }
        // From the waiting page to the first cut, and back at the end: the site does not ask by itself.
        if (known !== null && known !== state.state) { document.querySelector("iframe").src += ""; }
        known = state.state;
      })
      .catch(function () { /* The last known hour stays; the next look may succeed. */ });
  }
  look();
  setInterval(look, 15000);
})();
