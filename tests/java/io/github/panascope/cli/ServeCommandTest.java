package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is served, to whom. Requests are written by hand: a client would not send bad ones. */
class ServeCommandTest {
    @TempDir private Path folder;

    private static String ask(HttpServer server, String line, String host) throws IOException {
        try (Socket socket = new Socket("127.0.0.1", server.getAddress().getPort())) {
            socket.getOutputStream().write((line + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static int status(HttpServer server, String line, String host) throws IOException {
        return Integer.parseInt(ask(server, line, host).split(" ")[1]);
    }

    @Test
    void aFolderIsServedOnTheLoopbackAddressAlone() throws IOException {
        Path served = Files.createDirectories(folder.resolve("out"));
        Files.writeString(served.resolve("index.html"), "<p>naïve");
        Files.writeString(folder.resolve("secret.txt"), "secret");
        Files.createSymbolicLink(served.resolve("link.html"), folder.resolve("secret.txt"));
        HttpServer server = ServeCommand.start(served, 0);
        try {
            assertTrue(server.getAddress().getAddress().isLoopbackAddress());
            String host = "127.0.0.1:" + server.getAddress().getPort(), page = ask(server, "GET /", host);
            assertTrue(page.startsWith("HTTP/1.1 200") && page.toLowerCase().contains("text/html; charset=utf-8") && page.endsWith("<p>naïve"), page);
            assertEquals(200, status(server, "GET /index.html", "localhost"));
            String head = ask(server, "HEAD /index.html", host);
            assertTrue(head.startsWith("HTTP/1.1 200") && !head.contains("<p>"), head);
            for (String outside : new String[] {"/../secret.txt", "/%2e%2e/secret.txt", "/link.html", "/missing.html", "//etc/passwd", "/%00"}) assertNotEquals(200, status(server, "GET " + outside, host), outside);
            assertEquals(403, status(server, "GET /", "example.org"));
            assertEquals(403, status(server, "GET /", "127.0.0.1.example.org"));
            assertEquals(405, status(server, "POST /", host));
            HttpServer second = ServeCommand.start(served, server.getAddress().getPort());
            try {
                assertNotEquals(server.getAddress().getPort(), second.getAddress().getPort(), "a port that is taken gives way to another");
            } finally {
                second.stop(0);
            }
        } finally {
            server.stop(0);
        }
    }

    @Test
    void ofOneFileNothingElseIsServed() throws IOException {
        Files.writeString(folder.resolve("page.html"), "page");
        Files.writeString(folder.resolve("other.html"), "other");
        HttpServer server = ServeCommand.start(folder.resolve("page.html"), 0);
        try {
            assertEquals(200, status(server, "GET /page.html", "localhost"));
            assertEquals(404, status(server, "GET /other.html", "localhost"));
            assertEquals(404, status(server, "GET /", "localhost"));
        } finally {
            server.stop(0);
        }
    }
}
