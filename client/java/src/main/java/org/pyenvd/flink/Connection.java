package org.pyenvd.flink;

import io.grpc.ManagedChannel;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.bootstrap.Bootstrap;
import io.grpc.netty.shaded.io.netty.channel.epoll.Epoll;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import io.grpc.netty.shaded.io.netty.util.concurrent.DefaultThreadFactory;
import io.grpc.netty.shaded.io.netty.util.internal.logging.InternalLoggerFactory;
import io.grpc.netty.shaded.io.netty.util.internal.logging.JdkLoggerFactory;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.pyenvd.v1.EnvironmentsGrpc;

/**
 * The one channel of this JVM to a socket, shared by all who have it open. When the last one has
 * closed it, its thread has ended: else the class loader of a Flink job that is over would stay.
 */
final class Connection implements AutoCloseable {
    private static final Map<String, Connection> CONNECTIONS = new HashMap<>();
    /** It warns of an option of TCP, which gRPC sets whatever the socket is. */
    private static final Logger BOOTSTRAP = Logger.getLogger(Bootstrap.class.getName());

    static {
        // As gRPC itself does.
        InternalLoggerFactory.setDefaultFactory(JdkLoggerFactory.INSTANCE);
        BOOTSTRAP.setLevel(Level.SEVERE);
    }

    private final String socket;
    private final EpollEventLoopGroup group;
    private final ManagedChannel channel;
    private int users;

    private Connection(String socket) {
        this.socket = socket;
        group = new EpollEventLoopGroup(1, new DefaultThreadFactory("pyenvd", true));
        channel = NettyChannelBuilder.forAddress(new DomainSocketAddress(socket))
                .channelType(EpollDomainSocketChannel.class)
                .eventLoopGroup(group)
                .directExecutor()
                .usePlaintext()
                .overrideAuthority("localhost")
                // A create takes as long as it takes; whether the daemon lives can be asked.
                .keepAliveTime(30, TimeUnit.SECONDS)
                .disableRetry()
                .build();
    }

    static Connection open(String socket) throws NoDaemonException {
        if (!Epoll.isAvailable()) {
            throw new NoDaemonException("this JVM cannot speak to Unix sockets: "
                    + Epoll.unavailabilityCause(), Epoll.unavailabilityCause());
        }
        synchronized (CONNECTIONS) {
            Connection connection = CONNECTIONS.computeIfAbsent(socket, Connection::new);

            connection.users++;
            return connection;
        }
    }

    String socket() {
        return socket;
    }

    EnvironmentsGrpc.EnvironmentsBlockingStub blocking() {
        return EnvironmentsGrpc.newBlockingStub(channel);
    }

    EnvironmentsGrpc.EnvironmentsFutureStub future() {
        return EnvironmentsGrpc.newFutureStub(channel);
    }

    EnvironmentsGrpc.EnvironmentsStub async() {
        return EnvironmentsGrpc.newStub(channel);
    }

    /** In the connection's thread, unless that has ended by then. */
    void later(Runnable runnable, int milliseconds) {
        group.schedule(runnable, milliseconds, TimeUnit.MILLISECONDS);
    }

    @Override
    public void close() {
        synchronized (CONNECTIONS) {
            if (--users > 0) {
                return;
            }
            CONNECTIONS.remove(socket);
        }
        channel.shutdownNow();
        group.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly(2, TimeUnit.SECONDS);
    }
}
