package io.github.panascope.hub;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import javax.net.SocketFactory;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;
import okhttp3.OkHttpClient;

/** Configuration of an HTTP client for a proxy. */
final class HubProxies {
    private HubProxies() {}

    /** Makes a client use a proxy and authenticate there, independently of proxy settings elsewhere in this JVM. */
    static void use(EnvironmentProxy.Server proxy, OkHttpClient.Builder client, SSLSocketFactory tls) {
        client.proxy(proxy.toProxy());
        if (proxy.isTls()) client.socketFactory(new TlsSocketFactory(tls));
        client.proxyAuthenticator((_, response) -> {
            // Called once before the request to the proxy, and again if the proxy refuses the credentials.
            boolean refused = response.challenges().stream()
                    .noneMatch(challenge -> challenge.scheme().equalsIgnoreCase("OkHttp-Preemptive"));
            if (refused) throw refused(proxy.toString());
            return proxy.authorization()
                    .map(value -> response.request()
                            .newBuilder()
                            .header("Proxy-Authorization", value)
                            .build())
                    .orElse(null);
        });
    }

    /** Returns the failure of a proxy that asks for credentials or rejects those that it received. */
    static HubHttp.FinalException refused(String proxy) {
        return new HubHttp.FinalException("the proxy " + proxy
                + " wants a user and a password, and got none that it takes: give both in the proxy's variable, "
                + "as http://USER:PASSWORD@HOST:PORT with % escapes for special characters");
    }

    /** A factory of sockets that are encrypted from the start, for a proxy whose certificate has to match its name. */
    private static final class TlsSocketFactory extends SocketFactory {
        private final SSLSocketFactory tls;

        TlsSocketFactory(SSLSocketFactory tls) {
            this.tls = tls;
        }

        @Override
        public Socket createSocket() throws IOException {
            SSLSocket socket = (SSLSocket) tls.createSocket();
            SSLParameters parameters = socket.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            socket.setSSLParameters(parameters);
            return socket;
        }

        @Override
        public Socket createSocket(String host, int port) {
            throw new UnsupportedOperationException("only not connected ones");
        }

        @Override
        public Socket createSocket(String host, int port, InetAddress local, int localPort) {
            throw new UnsupportedOperationException("only not connected ones");
        }

        @Override
        public Socket createSocket(InetAddress host, int port) {
            throw new UnsupportedOperationException("only not connected ones");
        }

        @Override
        public Socket createSocket(InetAddress host, int port, InetAddress local, int localPort) {
            throw new UnsupportedOperationException("only not connected ones");
        }
    }
}
