package org.pyenvd.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.apache.flink.api.common.JobID;
import org.apache.flink.python.env.PythonDependencyInfo;
import org.apache.flink.python.env.process.ProcessPythonEnvironment;
import org.apache.flink.python.env.process.ProcessPythonEnvironmentManager;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Without a daemon. Flink's own class is behind ours on the class path. */
class ManagerTest {
    private final ByteArrayOutputStream log = new ByteArrayOutputStream();
    private final PrintStream err = System.err;
    @TempDir
    Path directory;

    @BeforeEach
    void listen() {
        System.setProperty("pyenvd.socket", directory + "/absent");
        System.clearProperty("pyenvd.flink");
        System.clearProperty("pyenvd.flink.said");
        System.setErr(new PrintStream(log, true));
    }

    @AfterEach
    void restore() {
        System.setErr(err);
    }

    private ProcessPythonEnvironmentManager manager() {
        return new ProcessPythonEnvironmentManager(
                new PythonDependencyInfo(Map.of(), null, null, Map.of(), "python3"),
                new String[] {directory.toString()},
                Map.of("PYFLINK_UDF_RUNNER_DIR", "/runners"), new JobID());
    }

    /** What only Flink's own code does. */
    private void expectStock(ProcessPythonEnvironmentManager manager) throws Exception {
        manager.open();
        Path base = Path.of(manager.getBaseDirectory());
        assertTrue(base.getFileName().toString().startsWith("python-dist-"), base.toString());
        ProcessPythonEnvironment it = (ProcessPythonEnvironment) manager.createEnvironment();
        assertEquals("/runners/pyflink-udf-runner.sh", it.getCommand());
        assertEquals(base.toString(), it.getEnv().get("BOOT_LOG_DIR"));
        assertEquals(base.toString(), manager.getPythonEnv().get("BOOT_LOG_DIR"));
        Path token = Path.of(manager.createRetrievalToken());
        assertEquals("{\"manifest\": {}}", Files.readString(token));
        assertEquals(base, token.getParent());
        assertEquals("Failed to create stage bundle factory!", manager.getBootLog());
        manager.close();
        assertFalse(Files.exists(base));
    }

    private int said() {
        return log.toString().split("prepared by Flink itself", -1).length - 1;
    }

    @Test
    void withoutADaemonFlinksOwnCodeIsUsedAndThatIsSaidOnce() throws Exception {
        expectStock(manager());
        expectStock(manager());
        assertEquals(1, said());
        assertTrue(log.toString().contains(directory + "/absent"), log.toString());
    }

    @Test
    void switchedOffNothingIsAskedOrSaid() throws Exception {
        System.setProperty("pyenvd.flink", "off");
        expectStock(manager());
        assertEquals(0, said());
    }

    @Test
    void whereADaemonIsRequiredItsAbsenceIsTheCause() throws Exception {
        ProcessPythonEnvironmentManager manager = manager();

        System.setProperty("pyenvd.flink", "require");
        Exception e = assertThrows(IOException.class, manager::open);
        assertTrue(e.getMessage().contains("no pyenvd at '" + directory + "/absent'"), e.getMessage());
        manager.close();
        assertFalse(Files.list(directory).findAny().isPresent());
    }

    @Test
    void itIsClosedAsOftenAsOneLikes() throws Exception {
        ProcessPythonEnvironmentManager manager = manager();

        manager.close();
        manager.open();
        manager.close();
        manager.close();
        assertThrows(IllegalStateException.class, manager::getBaseDirectory);
    }
}
