# Python's multiprocessing: a pool, shared memory, semaphores, a manager behind a unix socket, fork and forkserver.
cat > a.py <<'P'
import multiprocessing as m, os, mmap, tempfile
from multiprocessing import shared_memory

def square(n): return n * n

def add(lock, value, name):
    block = shared_memory.SharedMemory(name=name)
    with lock:
        value.value += 1
        block.buf[0] += 1
    block.close()

if __name__ == '__main__':
    for how in ('fork', 'forkserver'):
        c = m.get_context(how)
        with c.Pool(2) as pool:
            print(how, sum(pool.map(square, range(100))))
    c = m.get_context('fork')
    block = shared_memory.SharedMemory(create=True, size=4096)
    lock, value = c.Lock(), c.Value('i', 0)
    ps = [c.Process(target=add, args=(lock, value, block.name)) for _ in range(4)]
    [p.start() for p in ps]; [p.join() for p in ps]
    print('counted', value.value, block.buf[0])
    block.close(); block.unlink()
    with c.Manager() as manager:
        d = manager.dict(); d['a'] = 1
        print('manager', dict(d))
    fd = os.memfd_create('x'); os.write(fd, b'in a memfd')
    print(mmap.mmap(fd, 10).read(10).decode(), os.cpu_count() > 0, len(os.sched_getaffinity(0)) > 0)
    a, b = m.Pipe(); a.send_bytes(b'by a pipe'); print(b.recv_bytes().decode())
P
python3 a.py
