// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace millrace::test {

/// Self-signed, for 127.0.0.1 and localhost, good for a hundred years, and worth nothing: its key is below. Made with
/// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=millrace-test
/// -addext subjectAltName=IP:127.0.0.1,DNS:localhost`.
inline constexpr char const* test_certificate = R"(-----BEGIN CERTIFICATE-----
MIIBpDCCAUmgAwIBAgIUNYZR0n1qLJOKBoFnGX2x6vICws8wCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNbWlsbHJhY2UtdGVzdDAgFw0yNjExMjMyMjQ1MzNaGA8yMTI2
MTAzMDIyNDUzM1owGDEWMBQGA1UEAwwNbWlsbHJhY2UtdGVzdDBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABMJQtaCQqBlWRDAmfabGkpJYciLnnRLJq1THpl4Mfqk0
UnkxzKsffpbDy4CYU85+lFMQWcd5rdJFPqN5pcGtHDKjbzBtMB0GA1UdDgQWBBRM
/QDNbaEtHSmlrNlE5RILM6X3jjAfBgNVHSMEGDAWgBRM/QDNbaEtHSmlrNlE5RIL
M6X3jjAPBgNVHRMBAf8EBTADAQH/MBoGA1UdEQQTMBGHBH8AAAGCCWxvY2FsaG9z
dDAKBggqhkjOPQQDAgNJADBGAiEAn3aEUUqpKZgWHt9eIVXYzm/9Y6lydIMjf4Dl
wEiRW40CIQDzz6mKH+yDFg14UlrOV0c2pXKhQs7x8N5vk0HuibyZNQ==
-----END CERTIFICATE-----
)";

inline constexpr char const* test_key = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgxAnjifp+FyiJljrv
H30J1mJOfYV2FjQESbiekd+9cEOhRANCAATCULWgkKgZVkQwJn2mxpKSWHIi550S
yatUx6ZeDH6pNFJ5McyrH36Ww8uAmFPOfpRTEFnHea3SRT6jeaXBrRwy
-----END PRIVATE KEY-----
)";

/// The certificate of an authority that vouches for neither.
inline constexpr char const* other_certificate = R"(-----BEGIN CERTIFICATE-----
MIIBhzCCAS2gAwIBAgIUBjdYB5ndZLgfb0Gslr37OfLaCVQwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNc29tZWJvZHktZWxzZTAgFw0yNjExMjMyMjQ1MzNaGA8yMTI2
MTAzMDIyNDUzM1owGDEWMBQGA1UEAwwNc29tZWJvZHktZWxzZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABLyIzG/Cpqu7pw4l2hAdyievNtjPrxVJTtDnET4NWeaX
EZW1FW0Zth1uAVeEQk2jnK9hhR8hNAmEz0n/3LAS6QGjUzBRMB0GA1UdDgQWBBR5
BwbFY7iCYSNphGJmtjxcbbV9LjAfBgNVHSMEGDAWgBR5BwbFY7iCYSNphGJmtjxc
bbV9LjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIGIrHM/fjDcm
p0xuIRUNxVVjmJwV3Vyo7ArTYF3WwLoxAiEA4NtjesfXtIGyU4+uvlNRXwTYsjRU
BiuuwCvOgGUxQZU=
-----END CERTIFICATE-----
)";

}  // namespace millrace::test
