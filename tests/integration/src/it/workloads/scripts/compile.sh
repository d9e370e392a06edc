# gcc and make: a program with a library of its own, run; a static one too.
cat > lib.c <<'C'
int answer(void) { return 42; }
C
cat > main.c <<'C'
#include <pthread.h>
#include <stdio.h>
int answer(void);
static void *run(void *p) { *(int *)p = answer(); return 0; }
int main(void) { int n = 0; pthread_t t; pthread_create(&t, 0, run, &n); pthread_join(t, 0); printf("answer %d\n", n); return 0; }
C
printf 'all: main still\nlibanswer.so: lib.c\n\tgcc -shared -fPIC -O2 -o $@ $<\nmain: main.c libanswer.so\n\tgcc -O2 -o $@ main.c -L. -lanswer -Wl,-rpath,$(CURDIR)\nstill: main.c lib.c\n\tgcc -static -o $@ $^\n' > Makefile
make -s -j2
./main
./still
strip main && ./main
