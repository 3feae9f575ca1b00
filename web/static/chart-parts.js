// What all kinds of charts share: axes with titles and units, the frame with its tooltip, dashed guides. Given colours and
// text by charts.js.

export function parts({ colours, plain, brief }) {
  function axis(about) {
    const title = typeof about === "string" ? about : about?.title;
    return {
      type: "value", name: plain(title ?? "", 60), nameLocation: "middle", nameGap: 28, min: about?.low, max: about?.high,
      nameTextStyle: { color: colours.ink, fontSize: 12 },
      axisLabel: { color: colours.soft, hideOverlap: true, formatter: (value) => brief(value, about) },
      axisLine: { lineStyle: { color: colours.edge } }, axisTick: { show: false },
      splitLine: { lineStyle: { color: colours.rule } },
    };
  }
  const upright = (about) => ({ ...axis(about), nameGap: 46, axisLine: { show: false } });

  function base(tooltip) {
    return {
      animation: false, textStyle: { fontFamily: colours.font, color: colours.ink },
      grid: { left: 62, right: 18, top: 14, bottom: 44 },
      tooltip: {
        renderMode: "richText", confine: true, backgroundColor: colours.card, borderColor: colours.edge, borderWidth: 1,
        textStyle: { color: colours.ink, fontSize: 13, fontFamily: colours.font }, ...tooltip,
      },
    };
  }
  const guide = (points, more) => ({
    type: "line", data: points, silent: true, symbol: "none", z: 1, tooltip: { show: false },
    lineStyle: { color: colours.soft, width: 1.2, type: [4, 4] }, ...more,
  });
  // The whole row or column of a bar shows its tooltip: a small bar is hard to hit.
  const row = { trigger: "axis", axisPointer: { type: "shadow", shadowStyle: { color: "rgb(127 127 127 / 0.12)" } } };
  // The ends of a scale are seldom round: don't write them unless they are.
  function endLabels(low, high) {
    const round = (value) => Number(value.toPrecision(2)) === value;
    return { showMinLabel: round(low), showMaxLabel: round(high) };
  }
  // Which spans of time get a label: those that begin a round number of hours or days, about `most` of them.
  const ROUND = [5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 10080].map((minutes) => minutes * 6e4);
  function every(at, step, most) {
    if (!step) return Math.max(0, Math.ceil(at.length / most) - 1);
    const wanted = ROUND.find((each) => each >= 1000 * step && (at.at(-1) - at[0]) / each <= most) ?? ROUND.at(-1);
    const local = (stamp) => stamp - 6e4 * new Date(stamp).getTimezoneOffset();
    const rounded = (i) => Math.floor(local(at[i]) / wanted) !== Math.floor((local(at[i]) - 1000 * step) / wanted);
    return (i) => rounded(i);
  }
  return { axis, upright, base, guide, row, endLabels, every };
}
