# Apache with its event MPM: shared memory scoreboard, a CGI-less page, graceful restart.
mkdir www && echo 'the page of apache' > www/index.html && chmod -R a+rX www
m=/usr/lib/apache2/modules
cat > httpd.conf <<C
ServerName localhost
Listen 8081
PidFile $work/httpd.pid
ErrorLog $work/error.log
Mutex file:$work
DocumentRoot $work/www
User www-data
Group www-data
LoadModule mpm_event_module $m/mod_mpm_event.so
LoadModule authz_core_module $m/mod_authz_core.so
LoadModule dir_module $m/mod_dir.so
LoadModule status_module $m/mod_status.so
ServerLimit 2
StartServers 1
ThreadsPerChild 4
MaxRequestWorkers 8
DirectoryIndex index.html
<Location /status>
SetHandler server-status
</Location>
C
apache2 -d "$work" -f "$work/httpd.conf"
patiently curl -sf http://127.0.0.1:8081/
curl -sf http://127.0.0.1:8081/
apache2 -d "$work" -f "$work/httpd.conf" -k graceful
sleep 1
patiently curl -sf http://127.0.0.1:8081/status
curl -sf http://127.0.0.1:8081/status | grep -c 'Server Version'
kill "$(cat httpd.pid)"
patiently test ! -e httpd.pid
