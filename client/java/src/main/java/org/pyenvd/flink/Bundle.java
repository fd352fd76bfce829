package org.pyenvd.flink;

import java.util.Optional;
import org.pyenvd.v1.Archive;
import org.pyenvd.v1.CreateEnvironmentRequest;
import org.pyenvd.v1.PythonFile;

/**
 * A request as pyenvd's runner reads it, so that a worker's environment is the one that its
 * TaskManager has prepared. It names files of the host. The interpreter is not in it: the runner
 * takes it, as Flink's own, from the variable "python", which the Flink job's options may set.
 */
final class Bundle {
    private final StringBuilder text = new StringBuilder("pyenvd bundle 1\n");
    private boolean isSayable = true;

    private Bundle() {
    }

    /** Empty where a bundle has no words for it: a '#' in a path, or the end of a line. */
    static Optional<String> of(CreateEnvironmentRequest request) {
        Bundle bundle = new Bundle();

        for (Archive archive : request.getArchivesList()) {
            bundle.add("archive", archive.getPath(), archive.getTargetDir());
        }
        for (PythonFile file : request.getPythonFilesList()) {
            bundle.add("python-file", file.getPath(), file.getName());
        }
        if (request.hasRequirements()) {
            bundle.add("requirements", request.getRequirements().getPath(),
                    request.getRequirements().getPackageDirectory());
        }
        if (!request.getPythonPath().isEmpty()) {
            bundle.line("python-path " + request.getPythonPath());
        }
        return bundle.isSayable ? Optional.of(bundle.text.toString()) : Optional.empty();
    }

    private void add(String option, String path, String rest) {
        isSayable &= path.indexOf('#') < 0;
        line(option + " " + path + (rest.isEmpty() ? "" : "#" + rest));
    }

    private void line(String line) {
        isSayable &= line.indexOf('\n') < 0;
        text.append(line).append('\n');
    }
}
