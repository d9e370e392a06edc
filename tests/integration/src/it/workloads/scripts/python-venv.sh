# A virtual environment, and a package built and installed into it by pip without a network.
python3 -m venv --system-site-packages --without-pip env
mkdir -p p/greet
printf 'def main():\n    print("greetings from a package")\n' > p/greet/__init__.py
cat > p/pyproject.toml <<'T'
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "greet"
version = "1.0"
scripts = { greet = "greet:main" }
[tool.setuptools]
packages = ["greet"]
T
env/bin/python -m pip install -q --no-index --no-build-isolation --no-cache-dir --disable-pip-version-check ./p 2> pip.log || { cat pip.log >&2; exit 1; }
env/bin/greet
