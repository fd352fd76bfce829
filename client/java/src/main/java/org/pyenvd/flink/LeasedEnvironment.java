package org.pyenvd.flink;

import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.beam.model.pipeline.v1.BeamRunnerApi;
import org.apache.flink.api.common.JobID;
import org.apache.flink.python.env.PythonDependencyInfo;
import org.apache.flink.python.env.PythonEnvironment;
import org.apache.flink.python.env.process.ProcessPythonEnvironment;
import org.apache.flink.python.util.PythonEnvironmentManagerUtils;
import org.pyenvd.v1.CreateEnvironmentRequest;
import org.pyenvd.v1.CreateEnvironmentResponse;

/**
 * An environment that pyenvd has prepared, and how a worker is started in it.
 *
 * <p>That is done by pyenvd's runner, which takes a lease for the worker alone, on the same
 * environment: so the daemon ends a worker whose TaskManager was killed. What the runner is to
 * ask for stands in a bundle in the base directory of this lease.
 *
 * <p>Where the runner is of no use, Flink's own script starts the worker, in the working directory
 * and with the variables of this lease: if the daemon does not see the processes of this host's
 * part, if the runner is not there, or if a bundle cannot say what it is to ask for.
 */
final class LeasedEnvironment implements Prepared {
    private static final String BUNDLE = "environment.pyenv";
    private static final String BOOT_LOG = "flink-python-udf-boot.log";

    private final Lease lease;
    private final String socket;
    private final String python;
    private final boolean usesSystemEnv;
    private final Optional<String> bundle;

    private LeasedEnvironment(Lease lease, String socket, String python, boolean usesSystemEnv,
            Optional<String> bundle) {
        this.lease = lease;
        this.socket = socket;
        this.python = python;
        this.usesSystemEnv = usesSystemEnv;
        this.bundle = bundle;
    }

    static LeasedEnvironment open(String socket, PythonDependencyInfo info,
            Map<String, String> systemEnv, JobID jobId) throws IOException, InterruptedException {
        CreateEnvironmentRequest request = Requests.create(info, systemEnv, jobId).build();
        Connection connection = Connection.open(socket);
        Lease lease = null;

        try {
            lease = Lease.take(connection, request);
        } finally {
            if (lease == null) {
                connection.close();
            }
        }
        return new LeasedEnvironment(lease, socket, info.getPythonExec(), !systemEnv.isEmpty(),
                Bundle.of(request));
    }

    @Override
    public PythonEnvironment createEnvironment() throws IOException {
        String runner = runnerOf(lease.environment());

        if (lease.isHeldByProcess() && bundle.isPresent() && Files.isExecutable(Path.of(runner))) {
            Path path = Path.of(getBaseDirectory(), BUNDLE);

            Files.writeString(path, bundle.get());
            return new ProcessPythonEnvironment(runner, variablesOfRunner(path));
        }
        Map<String, String> variables = new HashMap<>(getPythonEnv());
        return new ProcessPythonEnvironment(PythonEnvironmentManagerUtils.getPythonUdfRunnerScript(
                lease.environment().getInterpreter(), variables), variables);
    }

    /** The program is where the daemon says that Beam finds it. */
    private static String runnerOf(CreateEnvironmentResponse environment) throws IOException {
        return BeamRunnerApi.ProcessPayload.parseFrom(BeamRunnerApi.Environment.parseFrom(
                environment.getBeamEnvironment()).getPayload()).getCommand();
    }

    /**
     * A process inherits all other variables. So what the Flink job does not want of them has to
     * be taken away.
     */
    private Map<String, String> variablesOfRunner(Path path) {
        Map<String, String> variables = new HashMap<>();

        if (!usesSystemEnv) {
            variables.put("PATH", "");
            variables.put("PYTHONPATH", "");
        }
        variables.put("PYENVD_SOCKET", socket);
        variables.put("PYENVD_SPEC", path.toString());
        variables.put("python", python);
        variables.put("BOOT_LOG_DIR", getBaseDirectory());
        return variables;
    }

    @Override
    public String createRetrievalToken() throws IOException {
        return lease.createRetrievalToken();
    }

    @Override
    public String getBootLog() throws IOException {
        Path log = Path.of(getBaseDirectory(), BOOT_LOG);
        String words = "Failed to create stage bundle factory!";

        return Files.exists(log)
                ? words + " " + new String(Files.readAllBytes(log), Charset.defaultCharset())
                : words;
    }

    @Override
    public String getBaseDirectory() {
        return lease.environment().getBaseDirectory();
    }

    @Override
    public Map<String, String> getPythonEnv() {
        return lease.environment().getVariablesMap();
    }

    @Override
    public void close() {
        lease.close();
    }
}
