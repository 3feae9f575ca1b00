// What each kind of chart looks like: KINDS[kind](data, draw) gives ECharts' options. `draw` comes from charts.js:
// the page's colours, the width, chart-parts.js, and the only ways to make text. A name from data never goes to ECharts as a template.
// Titles of axes carry units. The shapes of data are in web/README.md.

export const KINDS = {
  // {edges, counts, x, y, guide?}: bins of equal width; edges are numbers or ISO dates.
  histogram(data, draw) {
    const { colours, plain, shown } = draw;
    const dated = typeof data.edges[0] === "string";
    const edges = dated ? data.edges.map((edge) => Date.parse(/(Z|[+-]\d\d:\d\d)$/.test(edge) ? edge : `${edge}Z`)) : data.edges;
    const said = dated ? draw.day : shown;
    const scale = { ...draw.axis({ title: data.x, low: edges[0], high: edges.at(-1) }), position: "bottom", splitLine: { show: false } };
    scale.type = dated ? "time" : "value";
    if (dated) scale.axisLabel.formatter = said;
    if (edges[0] === edges.at(-1)) Object.assign(scale, { min: edges[0] - 1, max: edges[0] + 1 }); // all rows say the same
    scale.splitNumber = 5;
    scale.axisPointer = { triggerTooltip: false, show: false };
    if (!dated) Object.assign(scale.axisLabel, draw.endLabels(edges[0], edges.at(-1)));
    return {
      useUTC: true,
      ...draw.base({
        ...draw.row,
        formatter: ([{ dataIndex: i }]) => `${said(edges[i])} – ${said(edges[i + 1])}\n${plain(data.y ?? "")}: ${shown(data.counts[i])}`,
      }),
      // Bars stand on hidden categories; the axis one sees is a scale with round numbers over the same width.
      xAxis: [{ type: "category", data: data.counts.map((_, i) => String(i)), show: false }, scale],
      yAxis: { ...draw.upright(data.y ?? ""), minInterval: 1 },
      series: [
        { type: "bar", data: data.counts, barCategoryGap: "6%", itemStyle: { color: colours.accent }, emphasis: { disabled: true } },
        // A series keeps the second axis alive, and draws the guide where there is one.
        draw.guide(data.guide == null ? [] : [[data.guide, 0], [data.guide, Math.max(...data.counts)]], { xAxisIndex: 1 }),
      ],
    };
  },

  // {names, values, errors?, x, marked?, guide?}: horizontal bars, first on top; the first `marked` in another colour.
  bars(data, draw) {
    const { colours, plain, shown, wrapped, rtl, width } = draw;
    const names = data.names.slice(0, 20);
    const room = Math.min(190, Math.round(width * 0.36), 14 + 8 * Math.max(0, ...names.map((name) => String(name).length)));
    const tone = (_, i) => ({ color: i < (data.marked ?? 0) ? colours.whisker : colours.accent });
    const values = data.values.slice(0, 20).map((value, i) => ({ value, itemStyle: tone(value, i) }));
    const series = [{ type: "bar", data: values, barCategoryGap: "30%", itemStyle: { color: colours.accent }, emphasis: { disabled: true } }];
    if (data.errors) {
      // One line with gaps (null) is what the ready-made ECharts has for whiskers.
      const points = data.errors.slice(0, 20).flatMap((error, i) => [[data.values[i] - error, i], [data.values[i] + error, i], [null, null]]);
      series.push({ type: "line", data: points, silent: true, symbol: "rect", symbolSize: [1.5, 8], lineStyle: { color: colours.whisker, width: 1.5 },
        itemStyle: { color: colours.whisker }, tooltip: { show: false } });
    }
    if (data.guide != null) {
      series[0].markLine = { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: colours.soft, width: 1.2, type: [4, 4] }, data: [{ xAxis: data.guide }] };
    }
    return {
      ...draw.base({
        ...draw.row,
        formatter: ([{ dataIndex: i }]) => `${wrapped(data.names[i])}\n${plain(data.x ?? "", 60)}: ${shown(data.values[i])}${data.errors ? ` ± ${shown(data.errors[i])}` : ""}`,
      }),
      grid: { left: rtl ? 18 : room + 14, right: rtl ? room + 14 : 24, top: 6, bottom: 42 },
      xAxis: { ...draw.axis(data.x ?? ""), inverse: rtl },
      yAxis: {
        type: "category", inverse: true, data: names.map((_, i) => String(i)), position: rtl ? "right" : "left",
        axisTick: { show: false }, axisLine: { lineStyle: { color: colours.edge }, onZero: false },
        axisLabel: { color: colours.ink, width: room, overflow: "truncate", interval: 0, formatter: (_, i) => plain(names[i], 80) },
      },
      series,
    };
  },

  // {series: [{name, x, y, guide?}], x: {title, low, high, percent}, y: the same}
  line(data, draw) {
    const { colours, plain, shown } = draw;
    const solid = data.series.filter((one) => !one.guide);
    const palette = [colours.accent, colours.whisker, colours.good, colours.soft];
    const options = draw.base({
      trigger: "axis", axisPointer: { lineStyle: { color: colours.edge } },
      formatter: (points) => {
        const lines = points.filter((one) => one.seriesName !== "");
        const label = (one) => plain(solid.length > 1 ? solid[Number(one.seriesName)].name : data.y.title, 60);
        return [`${plain(data.x.title, 60)}: ${shown(lines[0]?.value[0], data.x)}`,
          ...lines.map((one) => `${label(one)}: ${shown(one.value[1], data.y)}`)].join("\n");
      },
    });
    if (solid.length > 1) {
      options.grid.top = 16 + 22 * solid.length;
      options.legend = { top: 0, left: 56, orient: "vertical", itemGap: 8, icon: "roundRect", itemHeight: 4, textStyle: { color: colours.ink }, data: solid.map((_, i) => String(i)), formatter: (i) => plain(solid[i].name, 40) };
    }
    const drawn = solid.map((one, i) => ({
      type: "line", name: String(i), data: one.x.map((x, k) => [x, one.y[k]]), symbol: "none", color: palette[i % palette.length],
      lineStyle: { width: 2, type: i < palette.length ? "solid" : "dashed" }, emphasis: { disabled: true },
    }));
    const guides = data.series.filter((one) => one.guide).map((one) => draw.guide(one.x.map((x, k) => [x, one.y[k]]), { name: "" }));
    return { ...options, xAxis: draw.axis(data.x), yAxis: draw.upright(data.y), series: [...drawn, ...guides] };
  },

  // {at, step?, series: [{name, values, tone}], y, bars?, guide?}: spans of time one after another; bars are stacked.
  times(data, draw) {
    const { colours, plain, shown, times, width } = draw;
    const at = data.at.map((stamp) => Date.parse(stamp));
    const several = data.series.length > 1;
    const said = (i) => (data.step ? `${times.full(at[i])} – ${times.hour(at[i] + 1000 * data.step)}` : times.full(at[i]));
    const long = at.at(-1) - at[0] > 36e5 * 36;
    const options = draw.base({
      ...draw.row,
      formatter: (points) => [said(points[0].dataIndex), ...data.series.map((one) => `${plain(one.name, 60)}: ${shown(one.values[points[0].dataIndex])}`)].join("\n"),
    });
    options.grid.bottom = 28;
    if (several) {
      options.grid.top = 40;
      options.legend = { top: 0, left: 0, icon: "roundRect", itemHeight: 4, itemWidth: 18, selectedMode: false, textStyle: { color: colours.ink }, data: data.series.map((_, i) => String(i)), formatter: (i) => plain(data.series[i].name, 40) };
    }
    // A value between two gaps has no line to stand on, so it gets a dot.
    const alone = (values, i) => values[i] != null && values[i - 1] == null && values[i + 1] == null;
    const series = data.series.map((one, i) => ({
      name: String(i), color: colours[one.tone], emphasis: { disabled: true },
      ...(data.bars
        ? { type: "bar", stack: "all", barCategoryGap: "15%", data: one.values }
        : { type: "line", symbol: "circle", lineStyle: { width: 2 }, data: one.values.map((value, k) => ({ value, symbolSize: alone(one.values, k) ? 6 : 0 })), showAllSymbol: true }),
    }));
    if (data.guide != null) series.push(draw.guide(at.map((_, i) => [i, data.guide])));
    return {
      ...options, series,
      xAxis: {
        type: "category", data: at.map((_, i) => String(i)), boundaryGap: Boolean(data.bars), axisTick: { show: false }, axisLine: { lineStyle: { color: colours.edge } },
        axisLabel: { color: colours.soft, hideOverlap: true, interval: draw.every(at, data.step, Math.max(2, Math.floor(width / 90))), formatter: (_, i) => (long ? times.day : times.hour)(at[i]) },
      },
      yAxis: { ...draw.upright(data.y), minInterval: data.bars ? 1 : undefined },
    };
  },

  // {predicted, observed, low, high, x, y}: all from 0 to 1.
  calibration(data, draw) {
    const { colours, plain, shown } = draw;
    const x = { title: data.x, low: 0, high: 1, percent: true };
    const y = { title: data.y, low: 0, high: 1, percent: true };
    const spans = data.predicted.flatMap((at, i) => [[at, data.low[i]], [at, data.high[i]], [null, null]]);
    return {
      ...draw.base({
        trigger: "item",
        formatter: ({ dataIndex: i }) => `${plain(data.x, 60)}: ${shown(data.predicted[i], x)}\n${plain(data.y, 60)}: ${shown(data.observed[i], y)} (${shown(data.low[i], y)} – ${shown(data.high[i], y)})`,
      }),
      xAxis: draw.axis(x), yAxis: draw.upright(y),
      series: [
        draw.guide([[0, 0], [1, 1]]),
        { type: "line", data: spans, silent: true, symbol: "rect", symbolSize: [8, 1.5], itemStyle: { color: colours.whisker }, lineStyle: { color: colours.whisker, width: 1.5 }, tooltip: { show: false } },
        { type: "line", data: data.predicted.map((at, i) => [at, data.observed[i]]), symbol: "circle", symbolSize: 8, itemStyle: { color: colours.accent }, lineStyle: { width: 2, color: colours.accent }, emphasis: { disabled: true } },
      ],
    };
  },

  // {x: [], y: [], xtitle, ytitle, diagonal?}
  scatter(data, draw) {
    const { colours, plain, shown } = draw;
    const all = [...data.x, ...data.y];
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const fit = { scale: true };
    return {
      ...draw.base({ trigger: "item", formatter: ({ value }) => `${plain(data.xtitle, 60)}: ${shown(value[0])}\n${plain(data.ytitle, 60)}: ${shown(value[1])}` }),
      xAxis: { ...draw.axis(data.xtitle), ...fit }, yAxis: { ...draw.upright(data.ytitle), ...fit },
      series: [
        { type: "scatter", data: data.x.map((x, i) => [x, data.y[i]]), symbolSize: 7, itemStyle: { color: colours.accent, opacity: 0.55 }, emphasis: { disabled: true } },
        draw.guide(data.diagonal ? [[low, low], [high, high]] : []),
      ],
    };
  },

  // {values}: a line without axes.
  spark(data, draw) {
    const { colours } = draw;
    return {
      ...draw.base({ show: false }), grid: { left: 2, right: 2, top: 4, bottom: 4 },
      xAxis: { type: "category", show: false, boundaryGap: false, data: data.values.map((_, i) => String(i)) },
      yAxis: { type: "value", show: false, scale: true },
      series: [{ type: "line", data: data.values, symbol: "none", silent: true, lineStyle: { color: colours.accent, width: 2 }, areaStyle: { color: colours.accent, opacity: 0.12 } }],
    };
  },
};
