# Chromium without its sandbox (Docker's seccomp profile forbids that one the namespaces): a local page as its document.
echo '<html><body><p id=p></p><script>document.getElementById("p").textContent = "computed " + [1, 2, 3].reduce((a, b) => a + b) * 7</script></body></html>' > page.html
HOME=$work chromium-headless-shell --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-extensions \
  --virtual-time-budget=1000 --user-data-dir="$work/data" --dump-dom "file://$work/page.html" 2> log | grep -o 'computed 42'
