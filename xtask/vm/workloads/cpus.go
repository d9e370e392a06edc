// A Go program's view of its container, and what Go's runtime asks of a kernel: threads, timers, epoll, sockets.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"
)

func main() {
	fmt.Println("cpus", runtime.NumCPU())
	for _, file := range []string{"cpu.max", "memory.max", "pids.max"} {
		text, err := os.ReadFile("/sys/fs/cgroup/" + file)
		fmt.Println(file, strings.TrimSpace(string(text)), err)
	}
	online, err := os.ReadFile("/sys/devices/system/cpu/online")
	fmt.Println("online", strings.TrimSpace(string(online)), err)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println("listen", err)
		os.Exit(1)
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello from go")
	}))
	client := http.Client{Timeout: 20 * time.Second}
	answer, err := client.Get("http://" + listener.Addr().String())
	if err != nil {
		fmt.Println("get", err)
		os.Exit(1)
	}
	text, _ := io.ReadAll(answer.Body)
	fmt.Println(string(text))
}
