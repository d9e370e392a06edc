# A Go program: its runtime's view of processors, the limits of its control group, threads, epoll, a server of its own.
/opt/workloads/cpus
