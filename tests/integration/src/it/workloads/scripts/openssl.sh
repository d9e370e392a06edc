# OpenSSL: a key, a certificate, and a TLS connection to its own server.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k.pem -out c.pem -days 1 -subj /CN=localhost 2> /dev/null
openssl s_server -accept 8443 -key k.pem -cert c.pem -www > /dev/null 2>&1 & s=$!
patiently sh -c 'openssl s_client -connect 127.0.0.1:8443 -CAfile c.pem < /dev/null'
curl -s --cacert c.pem --resolve localhost:8443:127.0.0.1 https://localhost:8443/ | grep -c 's_server'
openssl s_client -connect 127.0.0.1:8443 -CAfile c.pem -verify_hostname localhost < /dev/null 2> /dev/null | grep -m 1 'Verify return code'
kill $s
echo data | openssl enc -aes-256-cbc -pbkdf2 -k secret | openssl enc -d -aes-256-cbc -pbkdf2 -k secret
