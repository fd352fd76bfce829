package org.pyenvd.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Map;
import java.util.Optional;
import org.apache.flink.api.common.JobID;
import org.apache.flink.python.env.PythonDependencyInfo;
import org.junit.jupiter.api.Test;

class BundleTest {
    private static Optional<String> of(String path, String target) {
        return Bundle.of(Requests.create(new PythonDependencyInfo(Map.of(), null, null,
                Map.of(path, target), "python"), Map.of(), new JobID()).build());
    }

    @Test
    void itSaysAllButTheInterpreter() {
        PythonDependencyInfo info = new PythonDependencyInfo(Map.of("/b/1", "m.py"), "/b/r", "/b/c",
                Map.of("/b/2", "v.zip#venv"), "venv/bin/python", "process", "/x:/y");

        assertEquals("pyenvd bundle 1\narchive /b/2#venv\npython-file /b/1#m.py\n"
                + "requirements /b/r#/b/c\npython-path /x:/y\n",
                Bundle.of(Requests.create(info, Map.of("PATH", "/bin"), new JobID()).build())
                        .orElseThrow());
    }

    @Test
    void whatItHasNoWordsForItDoesNotSay() {
        assertEquals(Optional.of("pyenvd bundle 1\narchive /b;c/2#a b#c\n"), of("/b;c/2", "x#a b#c"));
        assertEquals(Optional.empty(), of("/b#c/2", "x"));
        assertEquals(Optional.empty(), of("/b/2", "x\ny"));
    }
}
