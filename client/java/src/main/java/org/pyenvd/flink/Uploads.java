package org.pyenvd.flink;

import com.google.protobuf.ByteString;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.pyenvd.v1.Archive;
import org.pyenvd.v1.ArtifactHeader;
import org.pyenvd.v1.CreateEnvironmentRequest;
import org.pyenvd.v1.FindArtifactRequest;
import org.pyenvd.v1.NamedArtifact;
import org.pyenvd.v1.PythonFile;
import org.pyenvd.v1.Requirements;
import org.pyenvd.v1.UploadArtifactRequest;
import org.pyenvd.v1.UploadArtifactResponse;
import org.pyenvd.v1.UploadedRequirements;

/**
 * What the daemon cannot read, because it has other mounts, but this process can, is brought to
 * it, and named by its digest instead of its path; only if it is missing there. Of requirements
 * that is the file and its packages: Flink does not bring along what such a file includes.
 */
final class Uploads {
    private static final int PIECE_SIZE = 256 * 1024;
    /** What the daemon takes for a package. */
    private static final String[] PACKAGES = {".whl", ".zip", ".tar.gz", ".tgz", ".tar",
        ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tlz", ".tar.lz", ".tar.lzma"};

    private final Connection connection;

    Uploads(Connection connection) {
        this.connection = connection;
    }

    /** False: the source is none of the request's, or cannot be read here either. */
    boolean replace(CreateEnvironmentRequest.Builder request, String source)
            throws IOException, InterruptedException {
        if (source.isEmpty() || !Files.isReadable(Path.of(source))) {
            return false;
        }
        if (request.hasRequirements() && request.getRequirements().getPath().equals(source)) {
            request.setRequirements(
                    Requirements.newBuilder().setUploaded(upload(request.getRequirements())));
            return true;
        }
        return Files.isRegularFile(Path.of(source)) && replaceFile(request, source);
    }

    private boolean replaceFile(CreateEnvironmentRequest.Builder request, String source)
            throws IOException, InterruptedException {
        String sha256 = null;

        for (Archive.Builder archive : request.getArchivesBuilderList()) {
            if (archive.getPath().equals(source)) {
                sha256 = sha256 == null ? upload(Path.of(source)) : sha256;
                archive.clearPath().setSha256(sha256);
            }
        }
        for (PythonFile.Builder file : request.getPythonFilesBuilderList()) {
            if (file.getPath().equals(source)) {
                sha256 = sha256 == null ? upload(Path.of(source)) : sha256;
                file.clearPath().setSha256(sha256);
            }
        }
        return sha256 != null;
    }

    private UploadedRequirements upload(Requirements requirements)
            throws IOException, InterruptedException {
        Path path = Path.of(requirements.getPath());
        UploadedRequirements.Builder uploaded = UploadedRequirements.newBuilder()
                .setName(path.getFileName().toString())
                .setSha256(upload(path));

        if (requirements.getPackageDirectory().isEmpty()) {
            return uploaded.build();
        }
        try (DirectoryStream<Path> packages = Files.newDirectoryStream(
                Path.of(requirements.getPackageDirectory()), Uploads::isPackage)) {
            for (Path file : packages) {
                uploaded.addPackages(NamedArtifact.newBuilder()
                        .setName(file.getFileName().toString()).setSha256(upload(file)));
            }
        }
        return uploaded.setNoIndex(true).build();
    }

    private static boolean isPackage(Path path) {
        String name = path.getFileName().toString().toLowerCase(Locale.ROOT);

        for (String end : PACKAGES) {
            if (name.endsWith(end) && name.length() > end.length()) {
                return true;
            }
        }
        return false;
    }

    /** Returns the digest. */
    private String upload(Path path) throws IOException, InterruptedException {
        String sha256 = digest(path);

        try {
            connection.blocking().findArtifact(
                    FindArtifactRequest.newBuilder().setSha256(sha256).build());
            return sha256;
        } catch (StatusRuntimeException e) {
            if (!Failure.of(e).reason.equals("ARTIFACT_NOT_FOUND")) {
                throw failed(path, e);
            }
        }
        try (InputStream content = Files.newInputStream(path)) {
            Sending sending = new Sending(content, sha256, Files.size(path));

            connection.async().uploadArtifact(sending);
            sending.await();
        } catch (ExecutionException e) {
            throw failed(path, Status.fromThrowable(e.getCause())
                    .asRuntimeException(Status.trailersFromThrowable(e.getCause())));
        }
        return sha256;
    }

    private static IOException failed(Path path, StatusRuntimeException e) {
        return new IOException("pyenvd cannot take '" + path + "': " + Failure.of(e).words(), e);
    }

    private static String digest(Path path) throws IOException {
        try (InputStream content = Files.newInputStream(path)) {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            StringBuilder hex = new StringBuilder();
            byte[] piece = new byte[PIECE_SIZE];
            int n;

            while ((n = content.read(piece)) > 0) {
                digest.update(piece, 0, n);
            }
            for (byte value : digest.digest()) {
                hex.append(String.format("%02x", value));
            }
            return hex.toString();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    /** One upload: reads and sends, in the connection's thread, as long as that takes more. */
    private static final class Sending
            implements ClientResponseObserver<UploadArtifactRequest, UploadArtifactResponse> {
        private final CompletableFuture<Void> end = new CompletableFuture<>();
        private final InputStream content;
        private final UploadArtifactRequest header;
        private ClientCallStreamObserver<UploadArtifactRequest> call;
        private boolean isBegun;
        private boolean isThrough;

        Sending(InputStream content, String sha256, long size) {
            this.content = content;
            header = UploadArtifactRequest.newBuilder().setHeader(ArtifactHeader.newBuilder()
                    .setSha256(sha256).setSizeBytes(size)).build();
        }

        @Override
        public void beforeStart(ClientCallStreamObserver<UploadArtifactRequest> begun) {
            call = begun;
            call.setOnReadyHandler(this::send);
        }

        private void send() {
            try {
                if (!isBegun) {
                    isBegun = true;
                    call.onNext(header);
                }
                while (call.isReady() && !isThrough) {
                    byte[] piece = content.readNBytes(PIECE_SIZE);

                    isThrough = piece.length == 0;
                    if (isThrough) {
                        call.onCompleted();
                    } else {
                        call.onNext(UploadArtifactRequest.newBuilder()
                                .setChunk(ByteString.copyFrom(piece)).build());
                    }
                }
            } catch (IOException e) {
                isThrough = true;
                call.cancel("cannot read what is being uploaded", e);
            }
        }

        @Override
        public void onNext(UploadArtifactResponse response) {
            isThrough = true;
        }

        @Override
        public void onError(Throwable e) {
            end.completeExceptionally(e);
        }

        @Override
        public void onCompleted() {
            isThrough = true;
            end.complete(null);
        }

        void await() throws ExecutionException, InterruptedException {
            try {
                end.get();
            } catch (InterruptedException e) {
                call.cancel("interrupted", e);
                throw e;
            }
        }
    }
}
