package org.pyenvd.flink;

import java.io.IOException;
import java.util.Map;
import org.apache.flink.python.env.PythonEnvironment;

/** A Python environment that is ready, until it is closed. */
public interface Prepared extends AutoCloseable {
    PythonEnvironment createEnvironment() throws Exception;

    String createRetrievalToken() throws IOException;

    String getBootLog() throws Exception;

    String getBaseDirectory();

    Map<String, String> getPythonEnv();

    @Override
    void close() throws Exception;
}
