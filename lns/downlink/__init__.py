"""The way of a downlink: what to say → when and by which gateway → counter → encrypted once → transmit → outcome.

``queue`` holds what applications want to say and ``acknowledge`` what becomes of it, ``compose`` builds the frame and burns its
counter, ``options`` lists window and gateway for an answer and ``ranking`` orders them, ``unprompted`` speaks without an uplink
to those who listen (``listener``, ``class_c``), ``transmit`` tries the options with the same bytes until one takes it, and
``reach`` remembers which gateways a device seems not to hear.
"""
