package org.pyenvd.flink;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.ref.WeakReference;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.apache.flink.util.ChildFirstClassLoader;
import org.slf4j.LoggerFactory;

/**
 * Does with the adapter what a TaskManager does, as it is told on its standard input; for tests
 * with a real daemon: Driver ADAPTER FLINK-PYTHON TEST-CLASSES. As in a TaskManager a Flink job
 * has a class loader of its own. Each command is a line, whose words are divided by tabs; each
 * answer ends with a line of "ok", or of "failed" and why.
 */
public final class Driver {
    private static final String[] PARENT_FIRST =
        {"java.", "org.slf4j", "org.apache.flink.", "org.apache.logging", "org.pyenvd.flink.Driver"};

    private final URL[] jars;
    private URLClassLoader loader;
    private UnaryOperator<String> trial;
    /** Of the Flink job: what its code leaves in a thread ends with that. */
    private ExecutorService task;

    private Driver(String[] paths) throws Exception {
        jars = new URL[paths.length];
        for (int i = 0; i < paths.length; i++) {
            jars[i] = Path.of(paths[i]).toUri().toURL();
        }
        beginJob();
    }

    @SuppressWarnings("unchecked")
    private void beginJob() throws Exception {
        task = Executors.newSingleThreadExecutor();
        loader = new ChildFirstClassLoader(
                jars, Driver.class.getClassLoader(), PARENT_FIRST, ignored -> { });
        trial = (UnaryOperator<String>) loader.loadClass("org.pyenvd.flink.Trial")
                .getConstructor().newInstance();
    }

    /** Whether anything still holds the class loader of the Flink job that is over. */
    private String endJob() throws Exception {
        WeakReference<ClassLoader> ended = new WeakReference<>(loader);
        List<byte[]> garbage = new ArrayList<>();

        task.shutdown();
        task.awaitTermination(1, TimeUnit.MINUTES);
        loader.close();
        loader = null;
        trial = null;
        for (int i = 0; i < 200 && ended.get() != null; i++) {
            garbage.add(new byte[1 << 16]);
            System.gc();
            Thread.sleep(50);
        }
        beginJob();
        return ended.get() == null ? "collected" : "kept";
    }

    private String ask(String line) throws Exception {
        try {
            return task.submit(() -> trial.apply(line)).get();
        } catch (ExecutionException e) {
            throw (RuntimeException) e.getCause();
        }
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = System.out;
        BufferedReader commands = new BufferedReader(
                new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Driver driver = new Driver(args);
        String line;

        // Logs are not answers. And what logs belongs to the JVM, not to its first Flink job.
        System.setOut(System.err);
        LoggerFactory.getLogger(Driver.class);
        while ((line = commands.readLine()) != null) {
            try {
                String answer = line.equals("end-job") ? driver.endJob() : driver.ask(line);

                answers.print(answer.isEmpty() ? "" : answer + "\n");
                answers.println("ok");
            } catch (RuntimeException e) {
                answers.println("failed " + e.getMessage().replace('\n', ' '));
            }
            answers.flush();
        }
        driver.task.shutdown();
    }
}
