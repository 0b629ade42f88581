"""The way of a downlink: what to say → window and gateway → counter → encrypted once → transmit → outcome.

``queue`` holds what applications want to say, ``compose`` builds the frame and burns its counter, ``options`` lists window
and gateway in order, ``transmit`` tries them with the same bytes until one takes it.
"""
