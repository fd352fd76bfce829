package org.pyenvd.flink;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLConnection;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Map;
import org.apache.flink.api.common.JobID;
import org.apache.flink.python.env.AbstractPythonEnvironmentManager;
import org.apache.flink.python.env.PythonDependencyInfo;
import org.apache.flink.python.env.PythonEnvironment;
import org.apache.flink.python.env.process.ProcessPythonEnvironmentManager;

/**
 * An environment that Flink's own code prepares, of the very version that runs: its class has
 * the name of ours and comes behind it on the class path. A class loader that makes this one
 * class by itself, and takes all others from where ours is, brings it back.
 */
final class StockEnvironment implements Prepared {
    private static final String NAME = ProcessPythonEnvironmentManager.class.getName();

    private final AbstractPythonEnvironmentManager manager;

    private StockEnvironment(AbstractPythonEnvironmentManager manager) {
        this.manager = manager;
    }

    static StockEnvironment open(PythonDependencyInfo info, String[] tmpDirectories,
            Map<String, String> systemEnv, JobID jobId) throws Exception {
        StockEnvironment stock = new StockEnvironment(Loader.STOCK
                .getConstructor(
                        PythonDependencyInfo.class, String[].class, Map.class, JobID.class)
                .newInstance(info, tmpDirectories, systemEnv, jobId));

        stock.manager.open();
        return stock;
    }

    @Override
    public PythonEnvironment createEnvironment() throws Exception {
        return manager.createEnvironment();
    }

    @Override
    public String createRetrievalToken() throws IOException {
        try {
            return call("createRetrievalToken");
        } catch (IOException | RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IOException(e);
        }
    }

    @Override
    public String getBootLog() throws Exception {
        return call("getBootLog");
    }

    private String call(String method) throws Exception {
        try {
            return (String) Loader.STOCK.getMethod(method).invoke(manager);
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof Exception) {
                throw (Exception) e.getCause();
            }
            throw e;
        }
    }

    @Override
    public String getBaseDirectory() {
        return manager.getBaseDirectory();
    }

    @Override
    public Map<String, String> getPythonEnv() {
        return manager.getPythonEnv();
    }

    @Override
    public void close() throws Exception {
        manager.close();
    }

    private static final class Loader extends ClassLoader {
        static final Class<? extends AbstractPythonEnvironmentManager> STOCK = find();

        private Loader(ClassLoader parent) {
            super(parent);
        }

        private static Class<? extends AbstractPythonEnvironmentManager> find() {
            ClassLoader ours = ProcessPythonEnvironmentManager.class.getClassLoader();

            try {
                for (URL url : Collections.list(
                        ours.getResources(NAME.replace('.', '/') + ".class"))) {
                    byte[] code = read(url);

                    if (!isOurs(code)) {
                        return new Loader(ours).defineClass(NAME, code, 0, code.length)
                                .asSubclass(AbstractPythonEnvironmentManager.class);
                    }
                }
            } catch (IOException e) {
                throw new IllegalStateException("cannot read Flink's own " + NAME, e);
            }
            throw new IllegalStateException("there is no " + NAME + " of Flink's own behind"
                    + " pyenvd's on the class path: flink-python has to be where pyenvd's jar is");
        }

        /** An open jar would outlive the Flink job. */
        private static byte[] read(URL url) throws IOException {
            URLConnection connection = url.openConnection();

            connection.setUseCaches(false);
            try (InputStream code = connection.getInputStream()) {
                return code.readAllBytes();
            }
        }

        /** There may be several of ours; each names the class that it leaves its work to. */
        private static boolean isOurs(byte[] code) {
            return new String(code, StandardCharsets.ISO_8859_1)
                    .contains(Adapter.class.getName().replace('.', '/'));
        }
    }
}
