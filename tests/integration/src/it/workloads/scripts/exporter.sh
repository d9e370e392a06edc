# Prometheus' node exporter, which reads all over procfs and sysfs, with the collectors that a container has use for.
prometheus-node-exporter --web.listen-address=127.0.0.1:9101 --collector.disable-defaults --collector.cpu --collector.meminfo --collector.loadavg \
  --collector.stat --collector.filefd --collector.netdev --collector.netstat --collector.sockstat --collector.vmstat --collector.uname \
  --collector.filesystem --collector.conntrack --collector.time --collector.pressure 2> log & e=$!
patiently curl -sf -o /dev/null http://127.0.0.1:9101/metrics
curl -sf http://127.0.0.1:9101/metrics > m
grep -E '^node_scrape_collector_success' m
kill $e
