# nginx: master and workers, a page, a reload without losing the listener, and a graceful end.
mkdir -p www t && chmod -R 777 .
echo 'the page of nginx' > www/index.html
cat > nginx.conf <<C
worker_processes 2; pid $work/nginx.pid; error_log $work/error.log;
events { worker_connections 64; }
http { access_log $work/access.log; client_body_temp_path $work/t/a; proxy_temp_path $work/t/b; fastcgi_temp_path $work/t/c;
  uwsgi_temp_path $work/t/d; scgi_temp_path $work/t/e; sendfile on; aio threads;
  server { listen 8080; root $work/www; location /up { proxy_pass http://127.0.0.1:8080/index.html; } } }
C
nginx -c "$work/nginx.conf"
patiently curl -sf http://127.0.0.1:8080/
curl -sf http://127.0.0.1:8080/ http://127.0.0.1:8080/up
echo 'the second page' > www/index.html
nginx -c "$work/nginx.conf" -s reload
sleep 1
curl -sf http://127.0.0.1:8080/
nginx -c "$work/nginx.conf" -s quit
patiently test ! -e nginx.pid
grep -c 'GET /' access.log
