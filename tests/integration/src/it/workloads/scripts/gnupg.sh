# GnuPG: its agent behind a unix socket, a key, a signature.
export GNUPGHOME=$work/g
mkdir -m 700 g
gpg --batch -q --passphrase '' --quick-generate-key 'A Key <a@example.org>' ed25519 sign never 2> log
echo text > t
gpg --batch -q --clearsign t
gpg --verify t.asc 2>&1 | grep -o 'Good signature from "A Key <a@example.org>"'
gpgconf --kill gpg-agent
