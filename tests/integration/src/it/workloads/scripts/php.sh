# PHP's own server and a session file.
cat > index.php <<'P'
<?php session_save_path('.'); session_start(); $_SESSION['n'] = 3; echo "hello from php ", array_sum(range(1, 10)), "\n";
P
php -S 127.0.0.1:8084 > log 2>&1 & p=$!
patiently curl -sf http://127.0.0.1:8084/
curl -sf http://127.0.0.1:8084/
kill $p
