"""The part of the protobuf encoding that NRI needs. PURE."""
