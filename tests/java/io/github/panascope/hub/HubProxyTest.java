package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Proxies, and the certificates that secure connections are checked by. */
class HubProxyTest extends HubFixture {
    private static final String BASIC = "Basic " + Base64.getEncoder().encodeToString("us er:p@ss".getBytes());

    /** For one handshake inside the other on a machine that has much else to do. */
    private static final HubHttp.Patience CALM = new HubHttp.Patience(
            3, Duration.ofMillis(20), Duration.ofMillis(300), Duration.ofSeconds(20), Duration.ofSeconds(20));

    @Test
    void aProxyGetsItsPasswordWithTheTunnel() throws IOException {
        try (FakeProxy proxy = FakeProxy.http(BASIC)) {
            String address = "http://us%20er:p%40ss@" + proxy.host();
            assertMessage(
                    "the proxy answers with status 502 to CONNECT",
                    () -> hub("HF_ENDPOINT", "https://hub.example", "HTTPS_PROXY", address)
                            .file(REPO, "config.json"));
            assertTrue(
                    proxy.requests.stream().allMatch(("CONNECT hub.example:443 HTTP/1.1 | " + BASIC)::equals),
                    proxy.requests.toString());
        }
    }

    /**
     * A certificate of hub.example and localhost, which signs itself: {@code certificate.pem}, and a context for
     * servers.
     */
    private SSLContext certificate() throws Exception {
        Path store = cache.resolve("keys.p12");
        Path pem = cache.resolve("certificate.pem");
        String keytool =
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
        for (String arguments : List.of(
                "-genkeypair -keyalg EC -dname CN=test -ext san=dns:hub.example,dns:localhost",
                "-exportcert -rfc -file " + pem)) {
            String command = keytool + " " + arguments + " -alias test -storepass password -keystore " + store;
            assertEquals(
                    0,
                    new ProcessBuilder(command.split(" "))
                            .redirectErrorStream(true)
                            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                            .start()
                            .waitFor(),
                    command);
        }
        KeyStore keys = KeyStore.getInstance(store.toFile(), "password".toCharArray());
        KeyManagerFactory managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        managers.init(keys, "password".toCharArray());
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(managers.getKeyManagers(), null, null);
        return context;
    }

    @Test
    void aTunnelLeadsToTheHub() throws Exception {
        SSLContext tls = certificate();
        try (FakeHub secure = new FakeHub(tls).small(PATH + "config.json", "{}").small(PATH + "other.json", "[]")) {
            for (SSLContext before : new SSLContext[] {null, tls}) {
                try (FakeProxy proxy = FakeProxy.tunnel(before, BASIC, secure.port())) {
                    String address = (before == null ? "http" : "https") + "://us%20er:p%40ss@" + proxy.host();
                    String[] variables = {
                        "HF_ENDPOINT", "https://hub.example", "HF_TOKEN", "secret-token", "HTTPS_PROXY", address
                    };
                    String name = before == null ? "config.json" : "other.json";
                    assertMessage(
                            "unable to find valid certification path",
                            () -> hub(variables).patient(CALM).file(REPO, name));
                    String[] trusting = Arrays.copyOf(variables, 8);
                    trusting[6] = "REQUESTS_CA_BUNDLE";
                    trusting[7] = cache.resolve("certificate.pem").toString();
                    assertEquals(2, Files.size(hub(trusting).patient(CALM).file(REPO, name)));
                    assertFalse(proxy.requests.isEmpty());
                    assertTrue(
                            proxy.requests.stream().allMatch(("CONNECT hub.example:443 HTTP/1.1 | " + BASIC)::equals),
                            proxy.requests.toString());
                }
            }
            assertTrue(
                    secure.hubTokens.size() == 4 && secure.hubTokens.stream().allMatch("Bearer secret-token"::equals),
                    secure.hubTokens.toString());
            assertEquals(
                    List.of("null"),
                    secure.proxyTokens.stream().distinct().toList(),
                    "the proxy's password must not reach the hub");
        }
    }

    @Test
    void certificatesThatAreNoneAreOneSentence() throws IOException {
        String[] variables = {"REQUESTS_CA_BUNDLE", cache.resolve("bundle.pem").toString()};
        assertMessage(
                "which cannot be read: it, or a folder in its path, does not exist",
                () -> hub(variables).file(REPO, "config.json"));
        Files.writeString(cache.resolve("bundle.pem"), "");
        assertMessage(
                "bundle.pem, which holds no certificate", () -> hub(variables).file(REPO, "config.json"));
        Files.writeString(cache.resolve("bundle.pem"), "-----BEGIN CERTIFICATE-----\nxyz\n-----END CERTIFICATE-----\n");
        assertMessage(
                "which is no file of certificates in PEM form",
                () -> hub(variables).file(REPO, "config.json"));
    }

    @Test
    void aBundleIsWholeAndAFolderMayHoldOtherFiles() throws Exception {
        SSLContext tls = certificate();
        String whole = Files.readString(cache.resolve("certificate.pem"));
        Path folder = Files.createDirectories(cache.resolve("authorities"));
        Path bundle = folder.resolve("bundle.pem");
        try (FakeHub secure = new FakeHub(tls).small(PATH + "config.json", "{}").small(PATH + "other.json", "[]")) {
            String[] variables = {
                "HF_ENDPOINT", "https://localhost:" + secure.port(), "REQUESTS_CA_BUNDLE", bundle.toString()
            };
            Files.writeString(bundle, whole + whole.substring(0, whole.length() / 2));
            assertMessage(
                    "which is no file of certificates in PEM form",
                    () -> hub(variables).file(REPO, "config.json"));
            Files.writeString(bundle, "The first:\n" + whole + "The second:\n" + whole);
            assertEquals("{}", Files.readString(hub(variables).patient(CALM).file(REPO, "config.json")));
            variables[3] = folder.toString();
            Files.writeString(folder.resolve("a note"), "-----BEGIN CERTIFICATE-----\nno more\n");
            assertEquals("[]", Files.readString(hub(variables).patient(CALM).file(REPO, "other.json")));
            Files.delete(bundle);
            assertMessage("which holds no certificate", () -> hub(variables).file(REPO, "third.json"));
        }
    }

    @Test
    void aProxyThatIsNotThereIsNamedWithItsVariable() {
        for (String variable : List.of("http_proxy", "ALL_PROXY"))
            assertMessage(
                    "(the proxy http://127.0.0.1:1 of " + variable.toLowerCase(Locale.ROOT)
                            + " does not accept connections)",
                    () -> hub(variable, "http://us:secret-token@127.0.0.1:1").file(REPO, "config.json"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"https://hub.example", "http://hub.example"})
    void aProxyThatWantsAnotherPasswordIsOneSentence(String endpoint) throws IOException {
        try (FakeProxy proxy = FakeProxy.http(BASIC)) {
            for (String user : List.of("", "wrong:secret-token@")) {
                assertMessage(
                        "the proxy http://" + proxy.host() + " wants a user and a password",
                        () -> hub("HF_ENDPOINT", endpoint, "ALL_PROXY", "http://" + user + proxy.host())
                                .file(REPO, "config.json"));
            }
            assertEquals(2, proxy.requests.stream().distinct().count());
            assertTrue(proxy.requests.size() <= 4, "asked without end: " + proxy.requests);
        }
    }

    @Test
    void plainRequestsGoThroughTheProxyToo() throws IOException {
        try (FakeProxy proxy = FakeProxy.http(BASIC)) {
            String address = "us%20er:p%40ss@" + proxy.host();
            assertArrayEquals(
                    weights,
                    Files.readAllBytes(hub("http_proxy", address, "HF_TOKEN", "secret-token")
                            .file(REPO, "big.safetensors")));
            assertTrue(
                    proxy.requests.stream().allMatch(request -> request.endsWith(" | " + BASIC)),
                    proxy.requests.toString());
            assertEquals(3, proxy.requests.size(), proxy.requests.toString());
            assertEquals(
                    "{}",
                    Files.readString(hub("http_proxy", address, "no_proxy", "127.0.0.0/8")
                            .file(REPO, "config.json")));
            assertEquals(3, proxy.requests.size(), "no_proxy");
        }
    }

    @Test
    void aSocksProxyIsGoneThrough() throws IOException {
        try (FakeProxy proxy = FakeProxy.socks()) {
            assertArrayEquals(
                    weights,
                    Files.readAllBytes(
                            hub("ALL_PROXY", "socks5h://" + proxy.host()).file(REPO, "big.safetensors")));
            assertEquals(
                    List.of("127.0.0.1", "localhost"),
                    proxy.requests.stream().distinct().toList());
        }
    }

    @Test
    void aProxyThatIsNotNeededIsNotLookedAt() throws IOException {
        assertEquals(
                "{}",
                Files.readString(
                        hub("https_proxy", "::nonsense:secret", "ALL_PROXY", "socks5://x", "NO_PROXY", "127.0.0.1")
                                .file(REPO, "config.json")));
    }
}
