# System V and POSIX objects: shared memory, semaphores, message queues, memfd, eventfd, timers, user-space locks.
id=$(ipcmk -M 4096 | grep -oE '[0-9]+$'); ipcs -m | grep -c 4096; ipcrm -m "$id"
id=$(ipcmk -S 3 | grep -oE '[0-9]+$'); ipcrm -s "$id"
id=$(ipcmk -Q | grep -oE '[0-9]+$'); ipcrm -q "$id"
cat > a.c <<'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>
#define MUST(x) do { if ((long)(x) < 0) { perror(#x); exit(1); } } while (0)
int main(void) {
  char text[8192] = "", control[CMSG_SPACE(sizeof(int))] = "";
  struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 64 };
  mqd_t q; MUST(q = mq_open("/lockc", O_CREAT | O_RDWR, 0600, &attr));
  MUST(mq_send(q, "queued", 7, 0)); MUST(mq_receive(q, text, sizeof text, 0)); puts(text); MUST(mq_unlink("/lockc"));
  sem_t *s = sem_open("/lockc", O_CREAT, 0600, 1); if (s == SEM_FAILED) { perror("sem_open"); return 1; } sem_wait(s); sem_unlink("/lockc");
  int fd; MUST(fd = shm_open("/lockc", O_CREAT | O_RDWR, 0600)); MUST(ftruncate(fd, 4096));
  void *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); if (m == MAP_FAILED) { perror("mmap"); return 1; } shm_unlink("/lockc");
  /* a descriptor of a memfd, sent to a child over a socket pair */
  int mem, pair[2]; MUST(mem = memfd_create("m", MFD_ALLOW_SEALING)); MUST(write(mem, "sent", 5)); MUST(fcntl(mem, F_ADD_SEALS, F_SEAL_SHRINK));
  MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
  struct iovec v = { text, 1 }; struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  fflush(stdout);
  if (!fork()) {
    MUST(recvmsg(pair[1], &h, 0)); memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof fd);
    char *p = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0); if (p == MAP_FAILED) { perror("mmap of a received one"); exit(1); }
    puts(p); exit(fflush(stdout));
  }
  struct cmsghdr *c = CMSG_FIRSTHDR(&h); c->cmsg_level = SOL_SOCKET; c->cmsg_type = SCM_RIGHTS; c->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(c), &mem, sizeof mem); MUST(sendmsg(pair[0], &h, 0));
  int status; wait(&status);
  sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2);
  int e, t, g, p; MUST(e = eventfd(1, 0)); MUST(t = timerfd_create(CLOCK_MONOTONIC, 0)); MUST(g = signalfd(-1, &set, 0)); MUST(p = epoll_create1(0));
  struct epoll_event event = { .events = EPOLLIN }; MUST(epoll_ctl(p, EPOLL_CTL_ADD, e, &event)); MUST(epoll_wait(p, &event, 1, 0));
  printf("child %d\n", status); return 0;
}
C
gcc -o a a.c
./a
