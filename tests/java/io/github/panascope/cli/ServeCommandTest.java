package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import io.github.panascope.internal.AtomicFile;
import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is served, to whom. Requests are written by hand: a client would not send bad ones. */
class ServeCommandTest {
    @TempDir
    private Path folder;

    private static String ask(HttpServer server, String line, String host) throws IOException {
        try (Socket socket = new Socket("127.0.0.1", server.getAddress().getPort())) {
            socket.getOutputStream()
                    .write((line + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
                            .getBytes(StandardCharsets.US_ASCII));
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
            String host = "127.0.0.1:" + server.getAddress().getPort();
            String page = ask(server, "GET /", host);
            assertTrue(
                    page.startsWith("HTTP/1.1 200")
                            && page.toLowerCase().contains("text/html; charset=utf-8")
                            && page.endsWith("<p>naïve"),
                    page);
            assertEquals(200, status(server, "GET /index.html", "localhost"));
            String head = ask(server, "HEAD /index.html", host);
            assertTrue(head.startsWith("HTTP/1.1 200") && !head.contains("<p>"), head);
            for (String outside : new String[] {
                "/../secret.txt", "/%2e%2e/secret.txt", "/link.html", "/missing.html", "//etc/passwd", "/%00"
            }) assertNotEquals(200, status(server, "GET " + outside, host), outside);
            assertEquals(403, status(server, "GET /", "example.org"));
            assertEquals(403, status(server, "GET /", "127.0.0.1.example.org"));
            assertEquals(403, status(server, "GET /", "LOCALHOST.EXAMPLE.ORG"));
            assertEquals(
                    403,
                    status(server, "GET http://example.org/", host),
                    "the name asked for counts, not that of the header");
            assertEquals(200, status(server, "GET http://localhost/", host));
            for (String name : new String[] {
                "LOCALHOST", "LocalHost:" + server.getAddress().getPort()
            }) assertEquals(200, status(server, "GET /", name), name);
            for (String second : new String[] {"localhost", "example.org"})
                assertEquals(
                        400,
                        status(server, "GET /", "localhost\r\nHost: " + second),
                        "two hosts, the second " + second);
            assertTrue(head.contains("Content-length: 9") || head.contains("Content-Length: 9"), head);
            assertEquals(405, status(server, "POST /", host));
            HttpServer second = ServeCommand.start(served, server.getAddress().getPort());
            try {
                assertNotEquals(
                        server.getAddress().getPort(),
                        second.getAddress().getPort(),
                        "a port that is taken gives way to another");
            } finally {
                second.stop(0);
            }
        } finally {
            server.stop(0);
        }
    }

    /** Its page's relative links would lead beside it. */
    @Test
    void aFolderWithoutItsSlashLeadsToTheFolder() throws IOException {
        Files.writeString(Files.createDirectories(folder.resolve("a b/é?")).resolve("index.html"), "inner");
        Files.createDirectories(folder.resolve("empty"));
        HttpServer server = ServeCommand.start(folder, 0);
        try {
            String moved = ask(server, "GET /a%20b/%C3%A9%3F?x=1", "localhost");
            assertTrue(
                    moved.startsWith("HTTP/1.1 302")
                            && moved.toLowerCase().contains("location: /a%20b/%c3%a9%3f/?x=1\r\n"),
                    moved);
            assertTrue(ask(server, "GET /a%20b/%C3%A9%3F/", "localhost").endsWith("inner"));
            assertEquals(404, status(server, "GET /empty", "localhost"));
            assertEquals(404, status(server, "GET /a%20b/%C3%A9%3F/index.html/", "localhost"));
            String outside = ask(server, "GET /a%20b//../a%20b/%C3%A9%3F", "localhost");
            assertTrue(outside.toLowerCase().contains("location: /a%20b/%c3%a9%3f/\r\n"), outside);
        } finally {
            server.stop(0);
        }
    }

    @Test
    void dotsLeadToTheFolderThatTheyName() throws IOException {
        Files.writeString(folder.resolve("index.html"), "outer");
        Files.writeString(Files.createDirectories(folder.resolve("a/b")).resolve("index.html"), "inner");
        HttpServer server = ServeCommand.start(folder, 0);
        try {
            for (String path : new String[] {"/.", "/a/..", "/%2e", "/a/b/../.."}) {
                String moved = ask(server, "GET " + path, "localhost");
                assertTrue(
                        moved.startsWith("HTTP/1.1 302") && moved.toLowerCase().contains("location: /\r\n"),
                        path + ": " + moved);
            }
            String moved = ask(server, "GET /a/b/.", "localhost");
            assertTrue(moved.toLowerCase().contains("location: /a/b/\r\n"), moved);
            assertEquals(404, status(server, "GET /..", "localhost"));
        } finally {
            server.stop(0);
        }
    }

    @Test
    void anAddressIsEscaped() {
        assertEquals("/a%20b%23c%3Fd%25%22%C3%A9.html", ServeCommand.escaped("a b#c?d%\"é.html"));
        assertEquals("/a:b//c", ServeCommand.escaped("a:b//c"));
    }

    /** Each reply is one of the files, whole. */
    @Test
    void aFileThatIsReplacedMeanwhileIsSentWhole() throws Exception {
        Path page = folder.resolve("page.html");
        String[] versions = {"a".repeat(300_000), "b".repeat(2_000), ""};
        Files.writeString(page, versions[0]);
        HttpServer server = ServeCommand.start(folder, 0);
        AtomicBoolean done = new AtomicBoolean();
        Thread writer = Thread.ofPlatform().start(() -> {
            for (int i = 0; !done.get(); i++) AtomicFile.write(page, versions[i % versions.length]);
        });
        try {
            for (int i = 0; i < 400; i++) {
                String reply = ask(server, "GET /page.html", "localhost");
                assertTrue(reply.startsWith("HTTP/1.1 200"), reply.substring(0, Math.min(reply.length(), 100)));
                String body = reply.substring(reply.indexOf("\r\n\r\n") + 4);
                assertTrue(Arrays.asList(versions).contains(body), () -> "a reply of " + body.length() + " characters");
                assertTrue(
                        reply.toLowerCase().contains("content-length: " + body.length() + "\r\n"),
                        () -> reply.substring(0, reply.indexOf("\r\n\r\n")));
            }
        } finally {
            done.set(true);
            writer.join();
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
            Path link = Files.createSymbolicLink(
                    Files.createDirectories(folder.resolve("links")).resolve("link.html"), folder.resolve("page.html"));
            HttpServer second = ServeCommand.start(link, 0);
            try {
                assertEquals(
                        200, status(second, "GET /link.html", "localhost"), "a link that was named may lead anywhere");
            } finally {
                second.stop(0);
            }
        } finally {
            server.stop(0);
        }
    }
}
