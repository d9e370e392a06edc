// A JVM's view of its container: the processors and the memory that its control group grants.
public class Cpus {
    public static void main(String[] args) throws Exception {
        Runtime runtime = Runtime.getRuntime();
        System.out.println("processors " + runtime.availableProcessors());
        // A quarter of the control group's memory is the JVM's default.
        System.out.println("heap below 128 MiB " + (runtime.maxMemory() < 128L << 20));
        Thread[] threads = new Thread[4];
        long[] sums = new long[threads.length];
        for (int i = 0; i < threads.length; i++) {
            int n = i;
            threads[i] = new Thread(() -> { for (int k = 0; k < 100_000; k++) sums[n] += k; });
            threads[i].start();
        }
        for (Thread thread : threads) thread.join();
        System.out.println("sum " + java.util.Arrays.stream(sums).sum());
        System.gc();
    }
}
