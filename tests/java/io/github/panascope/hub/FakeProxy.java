package io.github.panascope.hub;

import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import javax.net.ServerSocketFactory;
import javax.net.ssl.SSLContext;

/**
 * A proxy in this process, of HTTP or of SOCKS 5. It wants to see one value of Proxy-Authorization, if it wants one at
 * all.
 */
final class FakeProxy implements AutoCloseable {
    /** For each request its first line and what it was authorized by; for SOCKS where to. */
    final List<String> requests = new CopyOnWriteArrayList<>();

    private final ServerSocket server;
    private final String authorization;
    private final int tunnelTo;

    private interface Handler {
        void handle(Socket client) throws IOException;
    }

    private FakeProxy(ServerSocketFactory sockets, String authorization, int tunnelTo, boolean socks)
            throws IOException {
        this.authorization = authorization;
        this.tunnelTo = tunnelTo;
        this.server = sockets.createServerSocket(0, 50, InetAddress.getLoopbackAddress());
        Thread.ofVirtual().start(() -> serve(socks ? this::socks : this::http));
    }

    static FakeProxy http(String authorization) throws IOException {
        return new FakeProxy(ServerSocketFactory.getDefault(), authorization, 0, false);
    }

    /** One whose tunnels all lead to one port here; itself behind TLS if there is a context for that. */
    static FakeProxy tunnel(SSLContext tls, String authorization, int to) throws IOException {
        return new FakeProxy(
                tls == null ? ServerSocketFactory.getDefault() : tls.getServerSocketFactory(),
                authorization,
                to,
                false);
    }

    static FakeProxy socks() throws IOException {
        return new FakeProxy(ServerSocketFactory.getDefault(), null, 0, true);
    }

    String host() {
        return "localhost:" + server.getLocalPort();
    }

    private void serve(Handler handler) {
        while (!server.isClosed()) {
            try {
                Socket client = server.accept();
                Thread.ofVirtual().start(() -> {
                    try (client) {
                        handler.handle(client);
                    } catch (IOException e) {
                        // one of the two hung up
                    }
                });
            } catch (IOException e) {
                return; // closed
            }
        }
    }

    /** Requests for plain addresses are passed on, one a connection. */
    private void http(Socket client) throws IOException {
        String head = head(client.getInputStream());
        String given = head.lines()
                .filter(line -> line.toLowerCase().startsWith("proxy-authorization:"))
                .map(line -> line.substring(20).strip())
                .findFirst()
                .orElse(null);
        String first = head.lines().findFirst().orElse("");
        requests.add(first + " | " + given);
        if (authorization != null && !authorization.equals(given))
            answer(client, "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"");
        else if (first.startsWith("CONNECT ") && tunnelTo == 0) answer(client, "502 Bad Gateway");
        else if (first.startsWith("CONNECT ")) tunnel(client);
        else
            pass(
                    client,
                    URI.create(first.split(" ")[1]),
                    head.replaceFirst("\r\n", "\r\nConnection: close\r\n")
                            .replaceAll("(?i)\r\nConnection: keep-alive", ""));
    }

    private static String head(InputStream in) throws IOException {
        StringBuilder head = new StringBuilder();
        while (head.indexOf("\r\n\r\n") < 0) {
            int next = in.read();
            if (next < 0) throw new IOException("cut");
            head.append((char) next);
        }
        return head.toString();
    }

    private static void answer(Socket client, String status) throws IOException {
        client.getOutputStream()
                .write(("HTTP/1.1 " + status + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                        .getBytes(StandardCharsets.ISO_8859_1));
    }

    private static void pass(Socket client, URI target, String head) throws IOException {
        try (Socket there = new Socket(target.getHost(), target.getPort())) {
            there.getOutputStream().write(head.getBytes(StandardCharsets.ISO_8859_1));
            there.getInputStream().transferTo(client.getOutputStream());
        }
    }

    private void tunnel(Socket client) throws IOException {
        client.getOutputStream()
                .write("HTTP/1.1 200 Connection established\r\n\r\n".getBytes(StandardCharsets.ISO_8859_1));
        join(client, "127.0.0.1", tunnelTo);
    }

    /** Passes on what both sides say. */
    private static void join(Socket client, String host, int port) throws IOException {
        try (Socket there = new Socket(host, port)) {
            Thread.ofVirtual().start(() -> {
                try {
                    client.getInputStream().transferTo(there.getOutputStream());
                } catch (IOException e) {
                    // one of the two hung up
                }
            });
            there.getInputStream().transferTo(client.getOutputStream());
        }
    }

    private void socks(Socket client) throws IOException {
        DataInputStream in = new DataInputStream(client.getInputStream());
        in.readByte();
        in.readNBytes(in.readUnsignedByte());
        client.getOutputStream().write(new byte[] {5, 0});
        in.readNBytes(3);
        String host = in.readByte() == 3
                ? new String(in.readNBytes(in.readUnsignedByte()), StandardCharsets.ISO_8859_1)
                : InetAddress.getByAddress(in.readNBytes(4)).getHostAddress();
        int port = in.readUnsignedShort();
        requests.add(host);
        client.getOutputStream().write(new byte[] {5, 0, 0, 1, 0, 0, 0, 0, 0, 0});
        join(client, host, port);
    }

    @Override
    public void close() throws IOException {
        server.close();
    }
}
