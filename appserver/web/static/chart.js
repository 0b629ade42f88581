// Charts: figures with data-chart hold {x, series: [{name, kind, values}], unit, language, step}. Times are wall clock.
"use strict";

(() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // The legend takes one line or two; the chart takes the rest.
  const fit = (figure, chart) => {
    const legend = figure.querySelector(".u-legend");
    chart.setSize({ width: figure.clientWidth, height: figure.clientHeight - (legend ? legend.offsetHeight : 0) });
  };

  const draw = (figure) => {
    const data = JSON.parse(figure.dataset.chart);
    const number = new Intl.NumberFormat(data.language, { maximumFractionDigits: data.digits ?? 2 });
    const axis = new Intl.NumberFormat(data.language, { maximumFractionDigits: 3 });
    const form = {
      hour: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
      day: { day: "numeric", month: "short" },
      month: { month: "short" },
    };
    const date = new Intl.DateTimeFormat(data.language, { timeZone: "UTC", ...form[data.dense ? "day" : data.step] });
    const full = new Intl.DateTimeFormat(data.language, {
      timeZone: "UTC", year: "numeric", month: data.step === "month" ? "long" : "short",
      ...(data.step === "month" ? {} : { day: "numeric" }),
      ...(data.step === "hour" ? form.hour : {}),
    });
    const colours = { house: css("--series-house"), flats: css("--series-flats"), gap: css("--series-gap"), value: css("--series-house") };
    const text = css("--soft");
    const line = css("--line");
    const bars = (size) => uPlot.paths.bars({ size: [size, 46], radius: 0.12 });
    const styles = {
      house: { fill: colours.house, width: 0, paths: bars(0.82), points: { show: false } },
      flats: { fill: colours.flats, width: 0, paths: bars(0.5), points: { show: false } },
      gap: { stroke: colours.gap, width: 2, points: { show: true, size: 5, fill: colours.gap } },
      value: { stroke: colours.value, width: 2, fill: colours.value + "22", points: { show: true, size: 4, fill: colours.value } },
      line_house: { stroke: colours.house, width: 1, points: { show: false } },
      line_flats: { stroke: colours.flats, width: 1, points: { show: false } },
      bar: { fill: colours.house, width: 0, paths: bars(0.7), points: { show: false } },
    };
    const all = data.series.flatMap((s) => s.values).filter((v) => v !== null);
    const floor = data.zero === false ? null : Math.min(0, ...all);
    const half = data.x.length > 1 ? (data.x[1] - data.x[0]) / 2 : 43200;
    const chart = new uPlot(
      {
        width: figure.clientWidth,
        height: figure.clientHeight - 34,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        legend: { live: true },
        padding: [14, 14, 0, 2],
        scales: {
          x: { time: true, range: (u, min, max) => [data.x[0] - half * 1.2, data.x[data.x.length - 1] + half * 1.2] },
          y: { range: (u, min, max) => (floor === null ? uPlot.rangeNum(min, max, 0.1, true) : uPlot.rangeNum(floor, Math.max(max, 0.001), { min: { pad: floor < 0 ? 0.1 : 0 , mode: 1 }, max: { pad: 0.1, mode: 1 } })) },
        },
        axes: [
          {
            stroke: text, grid: { show: false }, ticks: { stroke: line, size: 4 }, font: "12px system-ui, sans-serif", gap: 4, size: 30,
            splits: data.step === "month" || data.series[0].kind === "value" && data.x.length < 3 ? () => data.x : undefined,
            values: (u, splits) => splits.map((s) => date.format(s * 1000)), space: 64,
            incrs: data.step === "hour" && !data.dense ? [3600, 7200, 10800, 21600, 43200, 86400] : [86400, 172800, 432000, 604800, 864000, 1296000, 2592000, 7776000, 31536000],
          },
          {
            stroke: text, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif", size: 58, gap: 6,
            values: (u, splits) => splits.map((s) => axis.format(s)),
          },
        ],
        series: [
          { label: data.label ?? "", value: (u, v) => (v === null || v === undefined ? "–" : full.format(v * 1000)) },
          ...data.series.map((s) => ({
            label: s.name, ...styles[s.kind],
            value: (u, v) => (v === null || v === undefined ? "–" : number.format(v) + " " + data.unit),
          })),
        ],
      },
      [data.x, ...data.series.map((s) => s.values)],
      figure,
    );
    figure.dataset.drawn = "yes";
    fit(figure, chart);
    return chart;
  };

  const start = () => {
    for (const figure of document.querySelectorAll("[data-chart]")) {
      if (figure.dataset.drawn || !figure.clientWidth) continue;
      let chart = draw(figure);
      new ResizeObserver(() => fit(figure, chart)).observe(figure);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
        chart.destroy();
        chart = draw(figure);
      });
    }
  };
  start();
})();
