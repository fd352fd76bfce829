package org.pyenvd.flink;

import java.io.IOException;
import java.util.Map;
import org.apache.flink.api.common.JobID;
import org.apache.flink.python.env.PythonDependencyInfo;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Decides who prepares a Flink job's Python environment. */
public final class Adapter {
    private static final Logger LOG = LoggerFactory.getLogger(Adapter.class);
    /** A system property, for a Flink job has classes of its own: what was said of the daemon. */
    private static final String SAID = "pyenvd.flink.said";

    private Adapter() {
    }

    public static Prepared open(PythonDependencyInfo info, String[] tmpDirectories,
            Map<String, String> systemEnv, JobID jobId) throws Exception {
        Settings settings = Settings.current();

        if (settings.mode != Settings.Mode.OFF && !Requests.hasBundle(info)) {
            try {
                Prepared leased = LeasedEnvironment.open(settings.socket, info, systemEnv, jobId);

                System.clearProperty(SAID);
                return leased;
            } catch (NoDaemonException e) {
                if (settings.mode == Settings.Mode.REQUIRE) {
                    throw new IOException(
                            "PYENVD_FLINK is 'require', and there is " + e.getMessage(), e);
                }
                say(e);
            }
        }
        return StockEnvironment.open(info, tmpDirectories, systemEnv, jobId);
    }

    /** Once, until there is a daemon again. */
    private static void say(NoDaemonException e) {
        if (System.getProperties().putIfAbsent(SAID, e.getMessage()) == null) {
            LOG.warn("Python environments are prepared by Flink itself: there is {}",
                    e.getMessage());
        }
    }
}
