package org.apache.flink.python.env.process;

import java.io.IOException;
import java.util.Map;
import org.apache.flink.api.common.JobID;
import org.apache.flink.python.env.AbstractPythonEnvironmentManager;
import org.apache.flink.python.env.PythonDependencyInfo;
import org.apache.flink.python.env.PythonEnvironment;
import org.pyenvd.flink.Adapter;
import org.pyenvd.flink.Prepared;

/**
 * Stands in for Flink's own class of this name, by coming before it on the class path: what a
 * Flink job needs of Python comes from pyenvd, or, where there is no daemon, from Flink's class.
 * Of the superclass nothing is used but that it is one: Flink's operators know it.
 */
public final class ProcessPythonEnvironmentManager extends AbstractPythonEnvironmentManager {
    private final String[] tmpDirectories;
    private final Map<String, String> systemEnv;
    private final JobID jobId;
    /** Null: not open. */
    private Prepared prepared;

    public ProcessPythonEnvironmentManager(PythonDependencyInfo dependencyInfo,
            String[] tmpDirectories, Map<String, String> systemEnv, JobID jobId) {
        super(dependencyInfo, tmpDirectories, systemEnv, jobId);
        this.tmpDirectories = tmpDirectories;
        this.systemEnv = systemEnv;
        this.jobId = jobId;
    }

    @Override
    public void open() throws Exception {
        if (prepared == null) {
            prepared = Adapter.open(dependencyInfo, tmpDirectories, systemEnv, jobId);
        }
    }

    @Override
    public PythonEnvironment createEnvironment() throws Exception {
        return opened().createEnvironment();
    }

    @Override
    public void close() throws Exception {
        Prepared closing = prepared;

        prepared = null;
        if (closing != null) {
            closing.close();
        }
    }

    /** A file for Beam, which says what a worker has to retrieve: nothing. */
    public String createRetrievalToken() throws IOException {
        return opened().createRetrievalToken();
    }

    /** What is told of a worker that did not start. */
    public String getBootLog() throws Exception {
        return opened().getBootLog();
    }

    @Override
    public String getBaseDirectory() {
        return opened().getBaseDirectory();
    }

    @Override
    public Map<String, String> getPythonEnv() {
        return opened().getPythonEnv();
    }

    private Prepared opened() {
        if (prepared == null) {
            throw new IllegalStateException("the Python environment is not open");
        }
        return prepared;
    }
}
