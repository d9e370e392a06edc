# HAProxy before busybox's httpd; its statistics over a unix socket.
mkdir www && echo 'the page behind' > www/index.html
busybox httpd -f -p 127.0.0.1:8082 -h www & web=$!
cat > haproxy.cfg <<C
global
  stats socket $work/stats.sock mode 600 level admin
  pidfile $work/pid
defaults
  mode http
  timeout connect 20s
  timeout client 20s
  timeout server 20s
frontend in
  bind 127.0.0.1:8083
  default_backend out
backend out
  server one 127.0.0.1:8082
C
haproxy -D -f haproxy.cfg
patiently curl -sf http://127.0.0.1:8083/
curl -sf http://127.0.0.1:8083/
echo 'show stat' | socat - "UNIX-CONNECT:$work/stats.sock" | grep -o '^out,one'
kill "$(cat pid)" $web
