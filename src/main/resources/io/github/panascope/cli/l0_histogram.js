"use strict";
(() => {
  const { counts, mean } = JSON.parse(document.getElementById("l0").textContent),
    place = document.getElementById("plot");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const width = () => Math.min(960, place.clientWidth);
  let plot;
  function draw() {
    const ink = getComputedStyle(document.body).color,
      fill = dark.matches ? "#8f98ff" : "#636efa",
      grid = dark.matches ? "#3a3b40" : "#e5e5e5";
    const axis = label => ({ label, stroke: ink, grid: { stroke: grid }, ticks: { stroke: grid }, labelSize: 28 });
    if (plot) plot.destroy();
    plot = new uPlot(
      {
        width: width(),
        height: 380,
        title: "",
        scales: {
          x: { time: false, range: (u, lo, hi) => [lo - 0.5, hi + 0.5] },
          y: { range: (u, lo, hi) => [0, Math.max(1, hi * 1.05)] },
        },
        axes: [axis("Number of SAE features active per token (L0 count)"), axis("Token positions in sampled batch")],
        series: [
          { label: "L0" },
          {
            label: "Positions",
            fill,
            stroke: fill,
            paths: uPlot.paths.bars({ size: [0.9, 60] }),
            points: { show: false },
          },
        ],
        hooks: {
          draw: [
            u => {
              const x = u.valToPos(mean, "x", true),
                c = u.ctx;
              c.save();
              c.strokeStyle = "#d62728";
              c.setLineDash([6, 4]);
              c.lineWidth = 2;
              c.beginPath();
              c.moveTo(x, u.bbox.top);
              c.lineTo(x, u.bbox.top + u.bbox.height);
              c.stroke();
              c.restore();
            },
          ],
        },
      },
      [counts.map((_, i) => i), counts],
      place,
    );
  }
  draw();
  dark.addEventListener("change", draw);
  addEventListener("resize", () => plot.setSize({ width: width(), height: 380 }));
})();
