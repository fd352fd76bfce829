import io.grpc.Channel;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/** Asks a daemon for its health and its description, as any grpc-java client would. */
public final class Peer {
	private static final String SERVICE = "pyenvd.v1.Environments";
	private static final long PATIENCE = 60;

	/** Collects the answers of a stream until it ends. */
	private static final class Answers<T> implements StreamObserver<T> {
		private final List<T> answers = new ArrayList<>();
		private final CompletableFuture<List<T>> all = new CompletableFuture<>();

		@Override
		public void onNext(T answer) {
			answers.add(answer);
		}

		@Override
		public void onError(Throwable error) {
			all.completeExceptionally(error);
		}

		@Override
		public void onCompleted() {
			all.complete(answers);
		}
	}

	private static <Q, A> List<A> ask(
			Function<StreamObserver<A>, StreamObserver<Q>> call, List<Q> requests)
			throws Exception {
		Answers<A> answers = new Answers<>();
		StreamObserver<Q> questions = call.apply(answers);
		requests.forEach(questions::onNext);
		questions.onCompleted();
		return answers.all.get(PATIENCE, TimeUnit.SECONDS);
	}

	private static void expect(boolean condition, Object what) {
		if (!condition) {
			throw new IllegalStateException(String.valueOf(what));
		}
	}

	private static void checkHealth(Channel channel) {
		for (String service : List.of("", SERVICE)) {
			HealthCheckResponse answer = HealthGrpc.newBlockingStub(channel)
					.withDeadlineAfter(PATIENCE, TimeUnit.SECONDS)
					.check(HealthCheckRequest.newBuilder().setService(service).build());
			expect(answer.getStatus() == HealthCheckResponse.ServingStatus.SERVING, answer);
		}
	}

	private static void checkReflection(Channel channel) throws Exception {
		List<io.grpc.reflection.v1.ServerReflectionResponse> answers = ask(
				io.grpc.reflection.v1.ServerReflectionGrpc.newStub(channel)::serverReflectionInfo,
				List.of(
						io.grpc.reflection.v1.ServerReflectionRequest.newBuilder()
								.setListServices("").build(),
						io.grpc.reflection.v1.ServerReflectionRequest.newBuilder()
								.setFileContainingSymbol(SERVICE).build()));
		expect(answers.get(0).getListServicesResponse().getServiceList().stream()
				.anyMatch(service -> service.getName().equals(SERVICE)), answers);
		expect(answers.get(1).getFileDescriptorResponse().getFileDescriptorProtoCount() > 0,
				answers);
	}

	private static void checkOlderReflection(Channel channel) throws Exception {
		List<io.grpc.reflection.v1alpha.ServerReflectionResponse> answers = ask(
				io.grpc.reflection.v1alpha.ServerReflectionGrpc.newStub(channel)
						::serverReflectionInfo,
				List.of(
						io.grpc.reflection.v1alpha.ServerReflectionRequest.newBuilder()
								.setListServices("").build(),
						io.grpc.reflection.v1alpha.ServerReflectionRequest.newBuilder()
								.setFileContainingSymbol(SERVICE).build()));
		expect(answers.get(0).getListServicesResponse().getServiceList().stream()
				.anyMatch(service -> service.getName().equals(SERVICE)), answers);
		expect(answers.get(1).getFileDescriptorResponse().getFileDescriptorProtoCount() > 0,
				answers);
	}

	/** The authority stays what grpc-java makes of the address: the socket's path. */
	public static void main(String[] arguments) throws Exception {
		ManagedChannel channel = Grpc.newChannelBuilder(
				"unix:" + arguments[0], InsecureChannelCredentials.create()).build();
		try {
			checkHealth(channel);
			checkReflection(channel);
			checkOlderReflection(channel);
		} finally {
			channel.shutdownNow();
			channel.awaitTermination(PATIENCE, TimeUnit.SECONDS);
		}
	}
}
