# git: commits, branches, a merge, a clone over a pipe and over its daemon, garbage collection.
export GIT_CONFIG_GLOBAL=$work/config HOME=$work
git config --global user.email a@example.org; git config --global user.name A; git config --global init.defaultBranch main
git init -q r
cd r
for n in $(seq 5); do echo "$n" > f$n; git add .; git commit -qm "commit $n"; done
git switch -qc side HEAD~2; echo s > s; git add s; git commit -qm side
git switch -q main; git merge -q -m merge side
git gc -q
git fsck --no-progress
cd ..
git clone -q "file://$work/r" c
git daemon --base-path="$work" --export-all --listen=127.0.0.1 --reuseaddr --pid-file="$work/pid" --detach
patiently git ls-remote -q git://127.0.0.1/r
git clone -q git://127.0.0.1/r d
git -C c rev-list --count HEAD
git -C d log -1 --format=%s
kill "$(cat pid)"
