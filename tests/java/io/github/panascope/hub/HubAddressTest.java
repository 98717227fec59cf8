package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Addresses: endpoints, redirects and identifiers of repositories. */
class HubAddressTest extends HubFixture {
    /** What an address should look like is one thing, and what servers send another. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "/a b/<c>|{d}`^\\?q=[x] y&z=%zz\"'",
                "/%E9/é?é",
                "//localhost:PORT/x y",
                "/100%",
                "/a\\b",
                "/a/../../b",
                "/x#a b",
                "?only=query"
            })
    void aRedirectIsQuotedWhereTheServerDidNot(String target) throws IOException {
        server.storageMishaps.add((exchange, content) -> FakeHub.status(
                        302,
                        "Location",
                        target.replace(
                                "PORT",
                                exchange.getHttpContext()
                                                .getServer()
                                                .getAddress()
                                                .getPort() + ""))
                .answer(exchange, content));
        server.storageMishaps.add(FakeHub.sends(weights));
        assertFetched();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "http://[bad",
                "http://127.0.0.1:99999/x",
                "http://:80/x",
                "http://a b/x",
                "http://",
                "https://x:y/"
            })
    void anAddressThatIsNoneIsOneSentence(String target) {
        server.storageMishaps.add(FakeHub.status(302, "Location", target));
        assertMessage(
                "the server points to '" + target + "', which is no address of the web",
                () -> hub().file(REPO, "big.safetensors"));
        server.hubMishaps.add(
                (exchange, _) -> FakeHub.send(exchange, "[]".getBytes(), "Link", "<" + target + ">; rel=\"next\""));
        assertMessage("which is no address of the web", () -> hub().names(REPO, HubFixture::parquet));
        server.hubMishaps.add(FakeHub.status(307, "Location", target));
        assertMessage("which is no address of the web", () -> hub().file(REPO, "config.json"));
    }

    @Test
    void aHostMayHaveAnUnderscore() {
        assertMessage(
                "model owner/name",
                () -> hub("HF_ENDPOINT", "http://no_such_host.invalid:1").file(REPO, "config.json"));
        for (int i = 0; i < 2; i++)
            server.storageMishaps.add(FakeHub.status(302, "Location", "http://my_bucket.invalid/x"));
        assertMessage("no host of the name my_bucket.invalid is known", () -> hub().file(REPO, "big.safetensors"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "http://[bad",
                "http://h:99999",
                "http://a b",
                "hub.example",
                "http://h?x",
                "http://h#x",
                "ftp://h",
                "http://",
                "\ud800"
            })
    void anEndpointIsAnAddress(String endpoint) {
        assertMessage(
                "HF_ENDPOINT is not an address",
                () -> hub("HF_ENDPOINT", endpoint).file(REPO, "config.json"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"file:///etc/passwd", "ftp://127.0.0.1/x", "jar:file:/x!/y"})
    void aRedirectLeadsNowhereButToTheWeb(String target) {
        server.storageMishaps.add(FakeHub.status(302, "Location", target));
        assertMessage("refused", () -> hub().file(REPO, "big.safetensors"));
    }

    @Test
    void endlessRedirectsEnd() {
        for (int i = 0; i < 40; i++)
            server.storageMishaps.add((exchange, content) -> FakeHub.status(
                            302, "Location", exchange.getRequestURI().toString())
                    .answer(exchange, content));
        assertMessage("more than 30 redirects", () -> hub().file(REPO, "big.safetensors"));
    }

    @Test
    void aRenamedRepositoryIsFollowed() throws IOException {
        server.hubMishaps.add(FakeHub.status(307, "Location", PATH + "config.json"));
        assertEquals("{}", Files.readString(hub().file(HubRepo.model("old/name"), "config.json")));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "../../etc",
                "a/b/c",
                "/etc",
                "a b",
                ".hidden",
                "a/..",
                "owner/name@../x",
                "owner/name@",
                "owner/name@a//b",
                ""
            })
    void whatCannotBeAnIdIsRefused(String id) {
        assertThrows(InputException.class, () -> HubRepo.model(id));
    }

    @ParameterizedTest
    @ValueSource(strings = {"../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a\\b"})
    void aFileLiesInsideItsRepository(String name) {
        assertMessage("is not the name of a file in a repository", () -> hub().file(REPO, name));
        assertEquals(List.of(), server.requests);
    }
}
