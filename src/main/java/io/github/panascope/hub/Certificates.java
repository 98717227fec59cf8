package io.github.panascope.hub;

import io.github.panascope.InputException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import okhttp3.OkHttpClient;

/**
 * Certificates of certificate authorities in PEM form, such as a company distributes whose proxy inspects encrypted
 * connections.
 */
final class Certificates {
    private static final Pattern BEGIN = Pattern.compile("-----BEGIN [A-Z0-9 ]*CERTIFICATE-----");

    private Certificates() {}

    /**
     * Makes a client trust only the certificates of a bundle.
     *
     * @param bundle a file of certificates, or a folder of such files
     * @param client the client under construction
     * @throws InputException if the bundle cannot be read or holds no certificate
     */
    static void trust(Path bundle, OkHttpClient.Builder client) {
        try {
            KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
            store.load(null, null);
            if (Files.isDirectory(bundle)) addAll(bundle, store);
            else add(bundle, store);
            if (store.size() == 0)
                throw new InputException("REQUESTS_CA_BUNDLE names " + bundle + ", which holds no certificate.");
            TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init(store);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, factory.getTrustManagers(), null);
            for (TrustManager manager : factory.getTrustManagers())
                if (manager instanceof X509TrustManager trusted)
                    client.sslSocketFactory(context.getSocketFactory(), trusted);
        } catch (CertificateException e) {
            throw new InputException(
                    "REQUESTS_CA_BUNDLE names " + bundle + ", which is no file of certificates in PEM form.", e);
        } catch (IOException e) {
            throw new InputException(
                    "REQUESTS_CA_BUNDLE names " + bundle + ", which cannot be read: " + InputException.reason(e) + ".",
                    e);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every JDK has TLS", e);
        }
    }

    /**
     * Adds the certificates of all files of a folder. Files without certificates, such as a note or a list, are
     * skipped, as OpenSSL skips them.
     */
    private static void addAll(Path folder, KeyStore store) throws IOException, GeneralSecurityException {
        List<Path> files;
        try (Stream<Path> all = Files.list(folder)) {
            files = all.filter(Files::isRegularFile).sorted().toList();
        }
        for (Path file : files) {
            try {
                add(file, store);
            } catch (CertificateException e) {
                // another file may hold certificates; the caller checks that the store is not empty
            }
        }
    }

    private static void add(Path file, KeyStore store) throws IOException, GeneralSecurityException {
        byte[] content = Files.readAllBytes(file);
        var found = CertificateFactory.getInstance("X.509").generateCertificates(new ByteArrayInputStream(content));
        long begun = BEGIN.matcher(new String(content, StandardCharsets.ISO_8859_1))
                .results()
                .count();
        if (found.size() < begun) throw new CertificateException("a certificate is cut short");
        for (Certificate each : found) store.setCertificateEntry(String.valueOf(store.size()), each);
    }
}
