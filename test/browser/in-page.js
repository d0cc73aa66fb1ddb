// What the browser's tests measure inside the page. An expression, evaluated there as it stands.
({
  /** Ends of lines beside which no stack stands. */
  strays() {
    const middle = (box) => box.top + box.height / 2;
    const rows = [...document.querySelectorAll('.stack > button')].map((row) => middle(row.getBoundingClientRect()));
    const plugs = [...document.querySelectorAll('.plug')].map((dot) => middle(dot.getBoundingClientRect()));
    return plugs.filter((y) => !rows.some((row) => Math.abs(row - y) < 3)).length;
  },

  /** Contrast of each visible text with what is behind it (WCAG 2.2, 1.4.3), the lowest first. */
  contrasts() {
    const luminance = (color) => {
      const [r, g, b] = color.match(/[\d.]+/g).map((value) => {
        const share = value / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (node) => {
      const color = node ? getComputedStyle(node).backgroundColor : 'rgb(255, 255, 255)';
      return color.startsWith('rgb(') ? color : behind(node.parentElement);
    };
    return [...document.querySelectorAll('.name, .under, .figure, .mark, h1, h2 span, h2 small, #counts li')]
      .map((node) => {
        const ground = behind(node);
        const [a, b] = [luminance(getComputedStyle(node).color), luminance(ground)].sort((x, y) => y - x);
        return { ratio: (a + 0.05) / (b + 0.05), text: node.textContent };
      })
      .sort((x, y) => x.ratio - y.ratio);
  },

  ground: () => getComputedStyle(document.body).backgroundColor,
  width: () => document.documentElement.scrollWidth,
  lowest: () =>
    Math.min(...[...document.querySelectorAll('.stack > button')].map((row) => row.getBoundingClientRect().height)),
  motion: () => getComputedStyle(document.querySelector('.flow')).animationName,
});
