/** The plotting library's options for a chart of turns, in the page's colours. */

/**
 * @typedef {{label: string, values: (number | null)[], colour: string, isBar?: boolean}} Line `colour` is the name of a CSS variable
 */

const AXIS_PX = 52;

/**
 * @param {any} library @param {number[]} ids of the turns @param {(value: number) => string} form of a figure
 * @param {Line[]} lines @param {(at: number | null | undefined) => void} point called when the pointer is on a turn, or leaves it
 */
export function plotOptions(library, ids, form, lines, point) {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--quiet"), ticks: { show: false }, font: "11px system-ui" };
  const named = (/** @type {unknown} */ _, /** @type {number[]} */ at) =>
    at.map((id) => (Number.isInteger(id) ? `#${id}` : ""));
  const range = (/** @type {unknown} */ _, /** @type {number} */ __, /** @type {number} */ most) => [
    0,
    most > 0 ? most * 1.1 : 1,
  ];
  return {
    legend: { show: false },
    cursor: { y: false, points: { size: 5 } },
    scales: { x: { time: false, range: [ids[0] - 0.6, ids[ids.length - 1] + 0.6] }, y: { range } },
    axes: [
      { ...axis, size: 20, grid: { show: false }, incrs: [1, 2, 5, 10, 20], values: named },
      {
        ...axis,
        size: AXIS_PX,
        space: 24,
        grid: { stroke: colour("--line"), width: 1 },
        values: (/** @type {unknown} */ _, /** @type {number[]} */ at) => at.map(form),
      },
    ],
    series: [{}, ...lines.map((line) => series(library, line, colour(line.colour), ids.length))],
    hooks: { setCursor: [(/** @type {any} */ plot) => point(plot.cursor.idx)] },
  };
}

/** @param {any} library @param {Line} line @param {string} colour @param {number} turns */
function series(library, line, colour, turns) {
  if (!line.isBar) return { stroke: colour, width: 1.5, points: { show: turns < 25, size: 4 } };
  return {
    stroke: colour,
    fill: colour,
    width: 0,
    paths: library.paths.bars({ size: [0.7, 22, 2] }),
    points: { show: false },
  };
}
