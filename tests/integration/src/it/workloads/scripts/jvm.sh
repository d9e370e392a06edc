# A JVM: processors and memory as its control group grants them, threads, garbage collection, compiled code.
java -Xlog:os+container=trace:file=container.log -cp /opt/workloads Cpus
# what it read: the limit of memory and the share of processors
grep -oE 'Memory Limit is: [0-9]+' container.log | head -n 1
grep -oE 'CPU Quota is: [0-9]+' container.log | head -n 1
java -XX:+UseSerialGC -XshowSettings:system -version 2>&1 | grep -E 'Provider|Memory Limit|Effective CPU Count'
