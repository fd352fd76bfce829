package org.pyenvd.flink;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import org.apache.flink.api.common.JobID;
import org.apache.flink.python.env.PythonDependencyInfo;
import org.apache.flink.python.env.process.ProcessPythonEnvironment;
import org.apache.flink.python.env.process.ProcessPythonEnvironmentManager;

/** One manager of one Flink job, for Driver. */
public final class Trial implements UnaryOperator<String> {
    private final Map<String, String> files = new LinkedHashMap<>();
    private final Map<String, String> archives = new LinkedHashMap<>();
    private String requirements;
    private String packages;
    private String python = "/usr/bin/python3";
    private boolean usesSystemEnv = true;
    private ProcessPythonEnvironmentManager manager;
    private Thread opening;
    private volatile Exception failed;

    @Override
    public String apply(String line) {
        try {
            return run(line.split("\t"));
        } catch (Exception e) {
            throw new IllegalStateException(e.getClass().getSimpleName() + ": " + e.getMessage(), e);
        }
    }

    private String run(String[] words) throws Exception {
        switch (words[0]) {
            case "archive":
                archives.put(words[1], words[2]);
                return "";
            case "file":
                files.put(words[1], words[2]);
                return "";
            case "requirements":
                requirements = words[1];
                packages = words.length > 2 ? words[2] : null;
                return "";
            case "python":
                python = words[1];
                return "";
            case "without-system-env":
                usesSystemEnv = false;
                return "";
            case "property":
                System.setProperty(words[1], words[2]);
                return "";
            case "open":
                return open();
            case "begin-open":
                opening = new Thread(this::openInThread);
                opening.start();
                return "";
            case "interrupt":
                opening.interrupt();
                opening.join();
                return failed == null ? "opened" : failed.getClass().getSimpleName();
            default:
                return ask(words[0]);
        }
    }

    private String ask(String question) throws Exception {
        switch (question) {
            case "base":
                return manager.getBaseDirectory();
            case "variables":
                return list(manager.getPythonEnv());
            case "worker":
                ProcessPythonEnvironment worker =
                        (ProcessPythonEnvironment) manager.createEnvironment();
                return worker.getCommand() + "\n" + list(worker.getEnv());
            case "token":
                return manager.createRetrievalToken();
            case "boot-log":
                return manager.getBootLog();
            case "close":
                manager.close();
                return "";
            case "close-interrupted":
                Thread.currentThread().interrupt();
                manager.close();
                return String.valueOf(Thread.interrupted());
            case "threads":
                return String.join("\n", Thread.getAllStackTraces().keySet().stream()
                        .map(Thread::getName).filter(name -> name.startsWith("pyenvd"))
                        .toArray(String[]::new));
            default:
                throw new IllegalArgumentException(question);
        }
    }

    /** Returns how many microseconds it took. */
    private String open() throws Exception {
        long began = System.nanoTime();

        manager = new ProcessPythonEnvironmentManager(
                new PythonDependencyInfo(files, requirements, packages, archives, python),
                new String[] {System.getProperty("java.io.tmpdir")},
                usesSystemEnv ? new HashMap<>(System.getenv()) : new HashMap<>(), new JobID());
        manager.open();
        return String.valueOf((System.nanoTime() - began) / 1000);
    }

    private void openInThread() {
        try {
            open();
        } catch (Exception e) {
            failed = e;
        }
    }

    private static String list(Map<String, String> variables) {
        StringBuilder text = new StringBuilder();

        new TreeMap<>(variables).forEach((name, value) ->
                text.append(text.length() == 0 ? "" : "\n").append(name).append('=').append(value));
        return text.toString();
    }
}
